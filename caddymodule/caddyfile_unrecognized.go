package caddymodule

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
	"github.com/mevdschee/caddy-php-pool/internal/nearest"
)

// place is where options can be written.
type place int

const (
	inSite      place = iota // the block of the directive php_pool
	inGlobal                 // the global option php_pool
	inTransport              // transport php_pool
)

// unrecognized returns the error for an option that does not exist there. It says
// what to write if the name is that of another place, of php-fpm, FrankenPHP or
// php.ini, or similar to an option. The dispenser holds only its tokens; the current
// one is the name.
func unrecognized(d *caddyfile.Dispenser, where place) error {
	name, args := d.Val(), d.RemainingArgs()
	// A line of an ini file: name = value.
	if left, right, ok := strings.Cut(name, "="); ok {
		name = left
		if right != "" {
			args = append([]string{right}, args...)
		}
	} else if len(args) > 0 && args[0] == "=" {
		args = args[1:]
	}
	if reason, ok := unsupported[name]; ok {
		return d.Errf("php_pool does not support %s: %s", name, reason)
	}
	if remedy := fpmconf.Remedy(name, args); remedy != "" {
		return d.Errf("%s is an option of php-fpm: %s", name, remedy)
	}
	if remedy := frankenPHPRemedy(name, args); remedy != "" {
		return d.Errf("%s is an option of FrankenPHP: %s", name, remedy)
	}
	names := optionsOf(where)
	switch {
	case name == totalOption, name == threadsOption:
		return d.Errf("%s is an option of all pools: write it in the global option php_pool, outside of pool", name)
	case where == inTransport && poolOptionParser(name) != nil:
		return d.Errf("%s is an option of a pool: write it in the global option php_pool", name)
	case where == inTransport && slices.Contains(siteOptions(), name):
		return d.Errf("%s is an option of the directive php_pool, which transport php_pool does not have: remove it", name)
	case where == inGlobal && slices.Contains(siteOptions(), name):
		return d.Errf("%s is an option of a site: write it in the block of the directive php_pool", name)
	}
	setting := strings.Join(append([]string{"ini", name}, quoteAll(args)...), " ")
	if slices.Contains(strings.Fields(iniNames), name) {
		return d.Errf("%s is a setting of PHP: write %s", name, setting)
	}
	if similar := nearest.Name(name, names); similar != "" {
		return d.Errf("unrecognized php_pool option %q: did you mean %s?", name, similar)
	}
	if similar := nearest.Name(name, fpmconf.Names()); similar != "" {
		return d.Errf("unrecognized php_pool option %q: php-fpm's %s? Then %s", name, similar, fpmconf.Remedy(similar, args))
	}
	if strings.Contains(name, ".") { // as directives of extensions, and no option of php_pool
		return d.Errf("%s may be a setting of PHP: write %s", name, setting)
	}
	if similar := nearest.Name(name, strings.Fields(iniNames)); similar != "" {
		return d.Errf("unrecognized php_pool option %q: did you mean ini %s?", name, similar)
	}
	return d.Errf("unrecognized php_pool option %q: remove it; docs/configuration.md lists all options", name)
}

// optionsOf returns the names of all options that can be written there, sorted.
func optionsOf(where place) []string {
	names := []string{"pool"}
	if where == inTransport {
		names = slices.AppendSeq(names, maps.Keys(backendOptions))
	} else {
		names = append(slices.AppendSeq(names, maps.Keys(poolOptions)), rlimitPrefix+"nofile", rlimitPrefix+"core")
	}
	if where == inSite {
		names = append(names, siteOptions()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// siteOptions returns the names of the options that only the directive has.
func siteOptions() []string {
	names := slices.AppendSeq([]string{"dev", "hide_sensitive", "index", "name", "try_files"}, maps.Keys(backendOptions))
	return slices.AppendSeq(names, maps.Keys(proxyOptions))
}

func quoteAll(values []string) []string {
	var list []string
	for _, value := range values {
		list = append(list, fpmconf.Quote(value))
	}
	return list
}

// frankenPHPRemedy returns what to write instead of an option of FrankenPHP's
// Caddyfile directives, or "" if the name is not one.
func frankenPHPRemedy(name string, args []string) string {
	value := "<n>"
	if len(args) > 0 {
		value = strings.Join(quoteAll(args), " ")
	}
	switch name {
	case "num_threads":
		return "write workers " + value
	case "max_threads":
		return "write max_workers " + value
	case "php_ini":
		return "write ini " + strings.Replace(value, "<n>", "<name> <value>", 1)
	case "max_wait_time":
		return "write queue_timeout " + strings.Replace(value, "<n>", "<duration>", 1)
	case "max_idle_time":
		return "write idle_timeout " + strings.Replace(value, "<n>", "<duration>", 1)
	case "split_path":
		return "write split " + strings.Replace(value, "<n>", ".php", 1)
	case "file_server":
		return "remove it, and write the directive file_server in the site if it should serve files"
	}
	return ""
}

// iniNames are the php.ini directives without a dot, of PHP 7.0 to 8.5
// (main/main.c, Zend/zend.c, ext/standard/basic_functions.c), and those by which
// php.ini loads extensions.
const iniNames = `
SMTP allow_url_fopen allow_url_include always_populate_raw_post_data asp_tags auto_append_file
auto_detect_line_endings auto_globals_jit auto_prepend_file browscap default_charset default_mimetype
default_socket_timeout detect_unicode disable_classes disable_functions display_errors display_startup_errors
doc_root docref_ext docref_root enable_dl enable_post_data_reading engine error_append_string error_include_args
error_log_mode error_prepend_string error_reporting expose_php extension extension_dir fatal_error_backtraces
file_uploads from hard_timeout html_errors ignore_repeated_errors ignore_repeated_source
ignore_user_abort implicit_flush include_path input_encoding internal_encoding log_errors log_errors_max_len
max_execution_time max_file_uploads max_input_nesting_level max_input_time max_input_vars max_memory_limit
max_multipart_body_parts memory_limit open_basedir output_buffering output_encoding output_handler
post_max_size precision realpath_cache_size realpath_cache_ttl register_argc_argv report_memleaks
report_zend_debug request_order sendmail_from sendmail_path serialize_precision short_open_tag smtp_port
sys_temp_dir track_errors unserialize_callback_func unserialize_max_depth upload_max_filesize
upload_tmp_dir user_agent user_dir variables_order windows_show_crt_warning xmlrpc_error_number xmlrpc_errors
zend_extension memory_hard_limit_percent
`
