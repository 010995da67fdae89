package caddymodule

// unsupported are subdirectives of php_fastcgi and reverse_proxy that make no
// sense where Caddy itself runs PHP: why, and what to write instead.
var unsupported = map[string]string{
	"to":                      "there is no upstream, Caddy starts php-cgi itself; take it out",
	"dynamic":                 "there is no upstream, Caddy starts php-cgi itself; take it out",
	"transport":               "php_pool is the transport; take it out",
	"lb_policy":               balanced,
	"lb_retries":              balanced,
	"lb_try_duration":         "a request waits for a worker by itself; write queue_timeout <duration>",
	"lb_try_interval":         balanced,
	"lb_retry_match":          balanced,
	"health_uri":              probed,
	"health_path":             probed,
	"health_upstream":         probed,
	"health_port":             probed,
	"health_timeout":          probed,
	"health_status":           probed,
	"health_body":             probed,
	"health_method":           probed,
	"health_headers":          probed,
	"health_request_body":     probed,
	"health_follow_redirects": probed,
	"health_passes":           probed,
	"health_fails":            probed,
	"max_fails":               watched,
	"fail_duration":           watched,
	"unhealthy_status":        watched,
	"unhealthy_latency":       "slow requests are logged; write slow_request <duration>",
	"unhealthy_request_count": "the pool knows which workers are busy; write max_workers <n>",
}

const (
	balanced = "the pool picks the worker, and repeats a request where that can do no harm; take it out"
	probed   = "idle workers are probed without a script; write health_interval <duration>, or take it out"
	watched  = "the pool sees a worker die and replaces it; take it out"
)
