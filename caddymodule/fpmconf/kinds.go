package fpmconf

import (
	"errors"
	"slices"
	"strings"
)

// kind tells which values php-fpm takes for a directive.
type kind int

const (
	anyText kind = iota + 1
	wholeNumber
	yesOrNo
	timeSpan
	logLevel
	facility
	coreLimit
	processManager
)

// globalKinds and poolKinds are php-fpm's directives without a key, in [global] and in
// pools (sapi/fpm/fpm/fpm_conf.c).
var (
	globalKinds = kindsOf(map[kind]string{
		anyText:     "pid error_log syslog.ident events.mechanism include",
		facility:    "syslog.facility",
		yesOrNo:     "log_buffering daemonize",
		logLevel:    "log_level",
		wholeNumber: "log_limit emergency_restart_threshold process.max process.priority rlimit_files",
		timeSpan:    "emergency_restart_interval process_control_timeout systemd_interval",
		coreLimit:   "rlimit_core",
	})
	poolKinds = kindsOf(map[kind]string{
		anyText: "prefix user group listen listen.acl_users listen.acl_groups listen.owner listen.group listen.mode " +
			"listen.allowed_clients pm.status_path pm.status_listen ping.path ping.response access.log access.format slowlog " +
			"chroot chdir security.limit_extensions apparmor_hat include",
		wholeNumber: "listen.backlog listen.setfib process.priority pm.max_children pm.start_servers pm.min_spare_servers " +
			"pm.max_spare_servers pm.max_spawn_rate pm.max_requests request_slowlog_trace_depth rlimit_files",
		yesOrNo:        "process.dumpable request_terminate_timeout_track_finished catch_workers_output decorate_workers_output clear_env",
		timeSpan:       "pm.process_idle_timeout request_slowlog_timeout request_terminate_timeout",
		coreLimit:      "rlimit_core",
		processManager: "pm",
	})
	levelNames     = strings.Fields("debug notice warning warn error alert")
	managerNames   = strings.Fields("static dynamic ondemand")
	facilityNames  = strings.Fields("auth authpriv cron daemon ftp kern lpr mail news syslog user uucp local0 local1 local2 local3 local4 local5 local6 local7")
	keyedNames     = strings.Fields("env php_value php_flag php_admin_value php_admin_flag access.suppress_path")
	errNotANumber  = errors.New("it is not a whole number")
	errNotASwitch  = errors.New("it is neither yes nor no")
	errNotATime    = errors.New("it is not a time: write a number with s, m, h or d")
	errNotALimit   = errors.New("it is neither a number of bytes nor unlimited")
	errNoDirective = errors.New("php-fpm has no such directive here")
)

func kindsOf(names map[kind]string) map[string]kind {
	kinds := map[string]kind{}
	for kind, list := range names {
		for name := range strings.FieldsSeq(list) {
			kinds[name] = kind
		}
	}
	return kinds
}

// check returns why php-fpm would not read a line, or nil. kinds are the directives of
// its section.
func (s *Setting) check(kinds map[string]kind, inPool bool) error {
	switch {
	case s.err != nil:
		return s.err
	case s.keyed:
		return s.checkKeyed(inPool)
	case strings.Contains(s.Value, mark):
		return nil
	case !inPool && strings.Contains(s.Value, "$pool"):
		return errors.New("$pool has a value in pools only")
	}
	switch kinds[s.Name] {
	case anyText:
	case wholeNumber:
		if _, ok := number(s.Value); !ok {
			return errNotANumber
		}
	case yesOrNo:
		if _, ok := parseBool(s.Value); !ok {
			return errNotASwitch
		}
	case timeSpan:
		if !seconds.MatchString(s.Value) {
			return errNotATime
		}
	case logLevel:
		return oneOf(s.Value, levelNames)
	case processManager:
		return oneOf(s.Value, managerNames)
	case facility:
		return oneOf(s.Value, facilityNames)
	case coreLimit:
		if n, ok := number(s.Value); !strings.EqualFold(s.Value, "unlimited") && (!ok || n[0] == '-') {
			return errNotALimit
		}
	default:
		return errNoDirective
	}
	return nil
}

// checkKeyed checks a line with a key.
func (s *Setting) checkKeyed(inPool bool) error {
	switch {
	case !slices.Contains(keyedNames, s.Name):
		return errNoDirective
	case s.Name == "access.suppress_path":
		if s.Key != "" {
			return errors.New("it takes no key: write access.suppress_path[]")
		}
		if !strings.HasPrefix(s.Value, "/") {
			return errors.New("a path begins with /")
		}
	case s.Key == "":
		return errors.New("it needs a key in the brackets")
	case s.Name == "env" && s.Value == "":
		return errors.New("its value is empty")
	case strings.HasSuffix(s.Name, "_flag"):
		if _, ok := parseBool(s.Value); !ok && !strings.Contains(s.Value, mark) {
			return errNotASwitch
		}
	}
	if !inPool {
		return errors.New("php-fpm takes it in pools only")
	}
	return nil
}

func oneOf(value string, names []string) error {
	if slices.Contains(names, strings.ToLower(value)) {
		return nil
	}
	return errors.New("it has to be one of " + strings.Join(names, ", "))
}
