// Package live holds the pools of this process. They outlive configs: a config
// stages what it wants, and the pool activates it when the config before it has
// stopped. Restarts, warmup and watch work on pools that run.
package live
