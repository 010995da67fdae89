package caddymodule

// unsupported are options of php_fastcgi and reverse_proxy that php_pool does not
// support. The value is the reason and the remedy.
var unsupported = map[string]string{
	"to":                      noUpstream,
	"dynamic":                 noUpstream,
	"transport":               "php_pool is the transport; remove it",
	"lb_policy":               balanced,
	"lb_retries":              balanced,
	"lb_try_duration":         "requests wait in the queue for a worker; write queue_timeout <duration>",
	"lb_try_interval":         balanced,
	"lb_retry_match":          balanced,
	"health_uri":              healthChecked,
	"health_path":             healthChecked,
	"health_upstream":         healthChecked,
	"health_port":             healthChecked,
	"health_timeout":          healthChecked,
	"health_status":           healthChecked,
	"health_body":             healthChecked,
	"health_method":           healthChecked,
	"health_headers":          healthChecked,
	"health_request_body":     healthChecked,
	"health_follow_redirects": healthChecked,
	"health_passes":           healthChecked,
	"health_fails":            healthChecked,
	"max_fails":               replaced,
	"fail_duration":           replaced,
	"unhealthy_status":        replaced,
	"unhealthy_latency":       "slow requests are logged; write slow_request <duration>",
	"unhealthy_request_count": "each worker runs one request at a time; write max_workers <n>",
}

const (
	noUpstream    = "there is no upstream, because Caddy starts php-cgi itself; remove it"
	balanced      = "the pool selects the worker, and retries a request where that is safe; remove it"
	healthChecked = "idle workers are health-checked without running a script; write health_interval <duration>, or remove it"
	replaced      = "the pool replaces workers that exit; remove it"
)
