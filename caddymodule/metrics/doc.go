// Package metrics exports the state of all pools to Prometheus, through the
// registry of each config. The directory grafana has a dashboard for Grafana.
package metrics
