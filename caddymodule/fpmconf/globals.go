package fpmconf

import (
	"path"
	"strings"
)

// Process holds the settings of the php-fpm process itself.
type Process struct {
	PIDFile        string
	ErrorLog       string // a path, or "syslog"
	SyslogIdent    string
	SyslogFacility string
	LogLevel       string // debug, notice, warning, error or alert
	Daemonize      bool
	// Slowlogs and AccessLogs are the paths by the name of the pool.
	Slowlogs, AccessLogs map[string]string
	AccessFormats        []string // of all pools that have an access log
}

// ProcessOf returns what c says of the process. localState is the directory of pid and
// error_log where these are not absolute.
func ProcessOf(c *Config, localState string) *Process {
	v := viewOf(c.Global)
	p := &Process{
		PIDFile:        below(localState, v.value("pid")),
		ErrorLog:       cmpOr(v.value("error_log"), "log/php-fpm.log"),
		SyslogIdent:    cmpOr(v.value("syslog.ident"), "php-fpm"),
		SyslogFacility: strings.ToLower(cmpOr(v.value("syslog.facility"), "daemon")),
		LogLevel:       strings.ToLower(cmpOr(v.value("log_level"), "notice")),
		Daemonize:      true,
		Slowlogs:       map[string]string{}, AccessLogs: map[string]string{},
	}
	if !strings.EqualFold(p.ErrorLog, "syslog") {
		p.ErrorLog = below(localState, p.ErrorLog)
	}
	if p.LogLevel == "warn" {
		p.LogLevel = "warning"
	}
	if i, ok := v.counts["daemonize[]"]; ok {
		p.Daemonize, _ = parseBool(v.settings[i].Value)
	}
	conv := &converter{config: c}
	for _, pool := range c.Pools {
		v := viewOf(pool.Settings)
		prefix := conv.prefixOf(v)
		if file := v.value("slowlog"); file != "" && spanSeconds(v.value("request_slowlog_timeout")) > 0 {
			p.Slowlogs[pool.Name] = below(prefix, file)
		}
		if file := v.value("access.log"); file != "" {
			p.AccessLogs[pool.Name] = below(prefix, file)
			p.AccessFormats = append(p.AccessFormats, cmpOr(v.value("access.format"), defaultAccessFormat))
		}
	}
	return p
}

// below returns a path as php-fpm completes it.
func below(dir, file string) string {
	if file == "" || file[0] == '/' {
		return file
	}
	return path.Join("/", dir, file)
}
