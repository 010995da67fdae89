package phpbin

import (
	"slices"
	"strings"
	"testing"
)

func TestDetect_Tracers(t *testing.T) {
	page := func(modules string, settings ...string) string {
		var b strings.Builder
		for name := range strings.FieldsSeq(modules) {
			b.WriteString(`<h2><a name="module_` + name + `" href="#x">` + name + "</a></h2>\n")
		}
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if value == "" {
				value = "<i>no value</i>"
			}
			b.WriteString(`<tr><td class="e">` + name + `</td><td class="v">` + value + `</td><td class="v">` + value + "</td></tr>\n")
		}
		return b.String()
	}
	const userINI, noUserINI = "user_ini.filename=.user.ini", "user_ini.filename="
	const debug, noDebug = "Step Debugger=✔ enabled", "Step Debugger=✘ disabled"
	for _, c := range []struct {
		name, page string
		want       []string
	}{
		{"none", page("Core date", userINI), nil},
		{"tools that have to be asked", page("xhprof spx pcov", userINI), nil},
		{"New Relic", page("Core newrelic", "newrelic.enabled=1"), []string{"newrelic"}},
		{"New Relic off", page("newrelic", "newrelic.enabled=0"), nil},
		{"Datadog and Tideways", page("ddtrace tideways", "datadog.trace.enabled=true"), []string{"ddtrace", "tideways"}},
		{"Datadog off", page("ddtrace", "datadog.trace.enabled=false"), nil},
		{"Xdebug 3", page("xdebug", userINI, debug, "xdebug.start_with_request=yes"), nil},
		{"Xdebug 3 without .user.ini", page("xdebug", noUserINI, debug, "xdebug.start_with_request=yes"), []string{"xdebug"}},
		{"the same, no debugger", page("xdebug", noUserINI, noDebug, "Profiler=✘ disabled", "xdebug.start_with_request=yes"), nil},
		{"the same, a profiler", page("xdebug", noUserINI, noDebug, "Profiler=✔ enabled", "xdebug.start_with_request=default"), []string{"xdebug"}},
		{"the same, not by requests", page("xdebug", noUserINI, debug, "xdebug.start_with_request="), nil},
		{"Xdebug 2 without .user.ini", page("xdebug", noUserINI, "xdebug.remote_enable=On", "xdebug.profiler_enable=Off", "xdebug.auto_trace=Off"), []string{"xdebug"}},
		{"Xdebug 2 off", page("xdebug", noUserINI, "xdebug.remote_enable=Off", "xdebug.profiler_enable=Off", "xdebug.auto_trace=Off"), nil},
	} {
		if got := tracers(c.page, parsePHPInfo(c.page)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
