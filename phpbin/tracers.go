package phpbin

import (
	"html"
	"slices"
	"strings"
)

// monitors are the extensions that report every request to a monitoring service,
// with the setting that turns each of them off, if there is one. Those that only
// work when a request or a script asks for it (xhprof, spx, pcov) are not here.
var monitors = map[string]string{
	"newrelic": "newrelic.enabled", "ddtrace": "datadog.trace.enabled", "elastic_apm": "elastic_apm.enabled",
	"blackfire": "blackfire.apm_enabled", "tideways": "", "instana": "", "appdynamics_agent": "",
	"skywalking": "", "skywalking_agent": "skywalking_agent.enable",
}

// tracers returns the names of the loaded extensions that report every request,
// from a phpinfo() page and its rows.
func tracers(page string, rows map[string]string) []string {
	var list []string
	for _, m := range infoModule.FindAllStringSubmatch(page, -1) {
		name := html.UnescapeString(m[1])
		key := strings.ToLower(name)
		setting, isMonitor := monitors[key]
		if isMonitor && !isOff(rows, setting) || key == "xdebug" && xdebugStarts(rows) {
			list = append(list, name)
		}
	}
	return list
}

// xdebugStarts reports whether Xdebug may work during a request although a
// .user.ini turns it off, because PHP reads none. Xdebug 3 shows its modes as
// features, wherever they were set, and Xdebug 2 has a setting for each of them.
func xdebugStarts(rows map[string]string) bool {
	if !isOff(rows, "user_ini.filename") {
		return false
	}
	if _, isXdebug3 := rows["Step Debugger"]; isXdebug3 {
		return !isOff(rows, "xdebug.start_with_request") &&
			slices.ContainsFunc([]string{"Step Debugger", "Profiler", "Tracing", "GC Stats"}, func(feature string) bool {
				return strings.HasSuffix(rows[feature], "enabled")
			})
	}
	return !isOff(rows, "xdebug.remote_enable") || !isOff(rows, "xdebug.profiler_enable") || !isOff(rows, "xdebug.auto_trace")
}

// isOff reports whether a setting exists and is off or empty.
func isOff(rows map[string]string, setting string) bool {
	value, ok := rows[setting]
	switch strings.ToLower(noValue.ReplaceAllString(value, "")) {
	case "", "0", "off", "no", "false":
		return ok
	}
	return false
}
