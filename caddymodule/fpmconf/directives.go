package fpmconf

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// directives are the directives of php-fpm's configuration (sapi/fpm/fpm/fpm_conf.c)
// that are not options of php_pool, and what to do instead. VALUE is the value that
// was written, DURATION the same as a duration.
var directives = map[string]string{
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
	"ping.response":           "write response VALUE in the block of php_pool_ping",

	"request_terminate_timeout":                "write request_timeout DURATION",
	"request_terminate_timeout_track_finished": "remove it, because request_timeout ends with the script",
	"request_slowlog_timeout":                  "write slow_request DURATION",
	"request_slowlog_trace_depth":              "write backtrace_depth VALUE",
	"slowlog":                                  "remove it, because slow requests are in Caddy's log, in the logger php_pool.pool",
	"process_control_timeout":                  "write stop_timeout DURATION",
	"emergency_restart_threshold":              recovers,
	"emergency_restart_interval":               recovers,

	"group":                     "write user <user>:VALUE",
	"rlimit_files":              "write rlimit_nofile VALUE",
	"process.priority":          "write nice VALUE",
	"process.max":               "write max_workers_total VALUE in the global option php_pool",
	"process.dumpable":          "remove it, or write rlimit_core unlimited for core dumps",
	"chroot":                    "remove it, or write isolate, which confines PHP to the site's root",
	"chdir":                     "remove it, because PHP runs each script in the script's directory",
	"prefix":                    "remove it, and write whole paths",
	"apparmor_hat":              "remove it, because php_pool does not change AppArmor hats",
	"security.limit_extensions": "write split VALUE",

	"listen":                 noAddress,
	"listen.backlog":         "write max_queue VALUE",
	"listen.owner":           noAddress,
	"listen.group":           noAddress,
	"listen.mode":            noAddress,
	"listen.acl_users":       noAddress,
	"listen.acl_groups":      noAddress,
	"listen.allowed_clients": noAddress,
	"listen.setfib":          noAddress,

	"access.log":              accessLog,
	"access.format":           accessLog,
	"access.suppress_path":    "write log_skip VALUE in the site",
	"error_log":               "write ini error_log VALUE for PHP's own log; php-fpm's messages are in Caddy's log",
	"log_level":               "write level in Caddy's option log",
	"log_limit":               inLog,
	"log_buffering":           inLog,
	"decorate_workers_output": inLog,

	"daemonize":        managed,
	"pid":              managed,
	"systemd_interval": managed,
	"events.mechanism": managed,
	"include":          "write import VALUE, which is Caddy's directive for Caddyfiles",
}

const (
	noAddress = "remove it, because Caddy starts php-cgi itself and needs no address"
	recovers  = "remove it, because quarantine stops a script that crashes workers, and a pool recovers by itself"
	accessLog = "write log in the site, which is Caddy's access log"
	inLog     = "remove it, because the output of PHP is in Caddy's log"
	managed   = "remove it, because Caddy manages PHP"
)

// switches says what replaces a directive of php-fpm that is yes or no.
var switches = map[string]map[bool]string{
	"clear_env": {
		true:  "remove it, because PHP gets no variable of Caddy's environment unless process_env passes it",
		false: "write process_env inherit",
	},
	"catch_workers_output": {
		true:  "remove it, because the output of PHP is in Caddy's log",
		false: "write capture_stderr off in the block of php_pool",
	},
}

// array matches php-fpm's options that have a key: php_value[memory_limit].
var array = regexp.MustCompile(`^(php_value|php_flag|php_admin_value|php_admin_flag|env)\[([^\]]*)\]$`)

// arrays says which option replaces an option of php-fpm that has a key.
var arrays = map[string]string{
	"php_value": "ini", "php_flag": "ini", "php_admin_value": "admin_ini", "php_admin_flag": "admin_ini", "env": "process_env",
}

// Remedy returns what to write instead of a directive of php-fpm, such as "write
// max_spare 4", or "" if the name is not one.
func Remedy(name string, args []string) string {
	if m := array.FindStringSubmatch(name); m != nil {
		return arrayRemedy(m[1], m[2], args)
	}
	if arrays[name] != "" && name != "env" { // written with a blank: php_value memory_limit 1G
		key := "<name>"
		if len(args) > 0 {
			key, args = args[0], args[1:]
		}
		return arrayRemedy(name, key, args)
	}
	value := strings.Join(args, " ")
	if remedies := switches[name]; remedies != nil {
		switch strings.ToLower(value) {
		case "no", "off", "false", "0":
			return remedies[false]
		}
		return remedies[true]
	}
	if value == "" {
		return strings.NewReplacer("VALUE", "<value>", "DURATION", "<duration>").Replace(directives[name])
	}
	return strings.NewReplacer("VALUE", quoteAll(args), "DURATION", duration(value)).Replace(directives[name])
}

// arrayRemedy returns the line for an option of php-fpm that has a key.
func arrayRemedy(option, key string, args []string) string {
	value := "<value>"
	if len(args) > 0 {
		value = Quote(strings.Join(args, " "))
	}
	if variable, ok := strings.CutPrefix(value, "$"); ok && option == "env" {
		value = "{env." + strings.Trim(variable, "{}") + "}"
	}
	remedy := "write " + arrays[option] + " " + key + " " + value
	if strings.Contains(value, "$pool") {
		remedy += ", with the name of the pool instead of $pool"
	}
	return remedy
}

// duration returns a time of php-fpm as a duration. Its default unit is the second,
// and 0 is off.
func duration(value string) string {
	switch {
	case strings.Trim(value, "0") == "" || strings.Trim(value, "0") == "s":
		return "off"
	case strings.Trim(value, "0123456789") == "":
		return value + "s"
	}
	return value
}

// Known reports whether php-fpm has a directive of that name, without a key.
func Known(name string) bool { return directives[name] != "" || switches[name] != nil }

// Names returns the names of php-fpm's directives that have no key and are not options
// of php_pool, sorted.
func Names() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(directives)), maps.Keys(switches))
	slices.Sort(names)
	return names
}

// bare matches a value that needs no quotes in a Caddyfile.
var bare = regexp.MustCompile(`^[^\s"\x60#{}<]+$`)

// Quote returns a value as the Caddyfile needs it. A backslash in quotes stays, unless
// it precedes a quote; between backticks everything stays.
func Quote(value string) string {
	switch {
	case bare.MatchString(value):
		return value
	case strings.ContainsAny(value, `\"`) && !strings.Contains(value, "`"):
		return "`" + value + "`"
	}
	return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
}

func quoteAll(values []string) string {
	var list []string
	for _, value := range values {
		list = append(list, Quote(value))
	}
	return strings.Join(list, " ")
}
