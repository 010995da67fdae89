// Package metrics exports the state of the pools to Prometheus, on the registry of
// each config. The Grafana dashboard is in the folder grafana.
package metrics
