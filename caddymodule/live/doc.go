// Package live holds the running pools of this process. Pools outlive configs:
// each config stages the settings that it needs, and a pool activates them once
// the previous config has stopped. Restarts, resizing, warmup and watch work on
// running pools.
package live
