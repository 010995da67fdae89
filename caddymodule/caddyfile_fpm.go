package caddymodule

import (
	"regexp"
	"strings"
)

// fpmOptions are the directives of php-fpm's configuration (sapi/fpm/fpm/fpm_conf.c)
// that are not options of php_pool, and what to do instead. VALUE is the value that
// was written, DURATION the same as a duration.
var fpmOptions = map[string]string{
	"pm":                      "write manager VALUE",
	"pm.max_children":         "write max_workers VALUE, or for pm static workers VALUE",
	"pm.start_servers":        "write start_workers VALUE",
	"pm.min_spare_servers":    "remove it, because a worker starts when a request would wait; min_workers would count busy workers too",
	"pm.max_spare_servers":    "write max_spare VALUE",
	"pm.max_spawn_rate":       "remove it, because each waiting request starts one worker",
	"pm.process_idle_timeout": "write idle_timeout DURATION",
	"pm.max_requests":         "write max_requests VALUE",
	"pm.status_path":          "write the directive php_pool_status VALUE in the site",
	"pm.status_listen":        "write php_pool_status in a site with its own address",
	"ping.path":               "write the directive php_pool_ping VALUE in the site",
	"ping.response":           "remove it, because php_pool_ping responds with pong",

	"request_terminate_timeout":                "write request_timeout DURATION",
	"request_terminate_timeout_track_finished": "remove it, because request_timeout ends with the script",
	"request_slowlog_timeout":                  "write slow_request DURATION",
	"request_slowlog_trace_depth":              "remove it, because backtraces have up to 20 calls",
	"slowlog":                                  "remove it, because slow requests are in Caddy's log, in the logger php_pool.pool",
	"process_control_timeout":                  "write stop_timeout DURATION",
	"emergency_restart_threshold":              fpmRecovers,
	"emergency_restart_interval":               fpmRecovers,

	"group":                     "write user <user>:VALUE",
	"rlimit_files":              "write rlimit_nofile VALUE",
	"process.priority":          "write nice VALUE",
	"process.max":               "write max_workers in each pool",
	"process.dumpable":          "remove it, or write rlimit_core unlimited for core dumps",
	"chroot":                    "remove it, or write isolate, which confines PHP to the site's root",
	"chdir":                     "remove it, because PHP runs each script in the script's directory",
	"prefix":                    "remove it, and write whole paths",
	"apparmor_hat":              "remove it, because php_pool does not change AppArmor hats",
	"security.limit_extensions": "write split VALUE",

	"listen":                 fpmListens,
	"listen.backlog":         "write max_queue VALUE",
	"listen.owner":           fpmListens,
	"listen.group":           fpmListens,
	"listen.mode":            fpmListens,
	"listen.acl_users":       fpmListens,
	"listen.acl_groups":      fpmListens,
	"listen.allowed_clients": fpmListens,
	"listen.setfib":          fpmListens,

	"access.log":              fpmAccess,
	"access.format":           fpmAccess,
	"access.suppress_path":    "write log_skip VALUE in the site",
	"error_log":               "write ini error_log VALUE for PHP's own log; php-fpm's messages are in Caddy's log",
	"log_level":               "write level in Caddy's option log",
	"log_limit":               fpmLog,
	"log_buffering":           fpmLog,
	"decorate_workers_output": fpmLog,

	"daemonize":        fpmDaemon,
	"pid":              fpmDaemon,
	"systemd_interval": fpmDaemon,
	"events.mechanism": fpmDaemon,
	"include":          "write import VALUE, which is Caddy's directive for Caddyfiles",
}

const (
	fpmListens  = "remove it, because Caddy starts php-cgi itself and needs no address"
	fpmRecovers = "remove it, because quarantine stops a script that crashes workers, and a pool recovers by itself"
	fpmAccess   = "write log in the site, which is Caddy's access log"
	fpmLog      = "remove it, because the output of PHP is in Caddy's log"
	fpmDaemon   = "remove it, because Caddy manages PHP"
)

// fpmSwitch says what replaces a directive of php-fpm that is yes or no.
var fpmSwitch = map[string]map[bool]string{
	"clear_env": {
		true:  "remove it, because PHP gets no variable of Caddy's environment unless process_env passes it",
		false: "write process_env inherit",
	},
	"catch_workers_output": {
		true:  "remove it, because the output of PHP is in Caddy's log",
		false: "write capture_stderr off in the block of php_pool",
	},
}

// fpmArray matches php-fpm's options that have a key: php_value[memory_limit].
var fpmArray = regexp.MustCompile(`^(php_value|php_flag|php_admin_value|php_admin_flag|env)\[([^\]]*)\]$`)

// fpmArrays says which option replaces an option of php-fpm that has a key.
var fpmArrays = map[string]string{
	"php_value": "ini", "php_flag": "ini", "php_admin_value": "admin_ini", "php_admin_flag": "admin_ini", "env": "process_env",
}

// fpmRemedy returns what to write instead of a directive of php-fpm, or "" if the
// name is not one.
func fpmRemedy(name string, args []string) string {
	if m := fpmArray.FindStringSubmatch(name); m != nil {
		return fpmArrayRemedy(m[1], m[2], args)
	}
	if fpmArrays[name] != "" && name != "env" { // written with a blank: php_value memory_limit 1G
		key := "<name>"
		if len(args) > 0 {
			key, args = args[0], args[1:]
		}
		return fpmArrayRemedy(name, key, args)
	}
	value := strings.Join(args, " ")
	if remedies := fpmSwitch[name]; remedies != nil {
		switch strings.ToLower(value) {
		case "no", "off", "false", "0":
			return remedies[false]
		}
		return remedies[true]
	}
	if value == "" {
		return strings.NewReplacer("VALUE", "<value>", "DURATION", "<duration>").Replace(fpmOptions[name])
	}
	return strings.NewReplacer("VALUE", strings.Join(quoteAll(args), " "), "DURATION", fpmDuration(value)).Replace(fpmOptions[name])
}

// fpmArrayRemedy returns the line for an option of php-fpm that has a key.
func fpmArrayRemedy(option, key string, args []string) string {
	value := "<value>"
	if len(args) > 0 {
		value = quoted(strings.Join(args, " "))
	}
	if variable, ok := strings.CutPrefix(value, "$"); ok && option == "env" {
		value = "{env." + strings.Trim(variable, "{}") + "}"
	}
	remedy := "write " + fpmArrays[option] + " " + key + " " + value
	if strings.Contains(value, "$pool") {
		remedy += ", with the name of the pool instead of $pool"
	}
	return remedy
}

// fpmDuration returns a time of php-fpm as a duration. Its default unit is the second,
// and 0 is off.
func fpmDuration(value string) string {
	switch {
	case strings.Trim(value, "0") == "" || strings.Trim(value, "0") == "s":
		return off
	case strings.Trim(value, "0123456789") == "":
		return value + "s"
	}
	return value
}

// quoted returns a value as the Caddyfile needs it.
func quoted(value string) string {
	if !strings.ContainsAny(value, " \t\"") {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
}
