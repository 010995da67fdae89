//go:build unix

package fpm

import (
	"reflect"
	"strings"
	"testing"
)

func TestFPMArguments(t *testing.T) {
	tests := []struct {
		args string
		want arguments
	}{
		{"", arguments{}},
		{"-F -y /etc/php-fpm.conf", arguments{foreground: true, config: "/etc/php-fpm.conf"}},
		{"--nodaemonize --fpm-config /etc/php-fpm.conf", arguments{foreground: true, config: "/etc/php-fpm.conf"}},
		{"--fpm-config=/a -g/run/pid -c=/ini", arguments{config: "/a", pidFile: "/run/pid", ini: "/ini"}},
		{"-tt -n", arguments{test: 2, noINI: true}},
		{"-t -t -O -R", arguments{test: 2, forceStderr: true, runAsRoot: true}},
		{"-F -D", arguments{background: true}},
		{"-D -F", arguments{foreground: true}},
		{"-RF -p /usr/local", arguments{runAsRoot: true, foreground: true, prefix: "/usr/local"}},
		{"-d display_errors -dmemory_limit=1G -d a=\"b\"", arguments{settings: [][2]string{{"display_errors", "1"}, {"memory_limit", "1G"}, {"a", "b"}}}},
		{"-v", arguments{show: 'v'}},
		{"--help", arguments{show: 'h'}},
		{"-e", arguments{}},
	}
	for _, tt := range tests {
		got, err := parseArguments(strings.Fields(tt.args))
		if err != nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.args, got, err, tt.want)
		}
	}
	for _, args := range []string{"-y", "-x", "--unknown", "start", "-", "-tx", "--pid"} {
		if got, err := parseArguments(strings.Fields(args)); err == nil {
			t.Errorf("%s: got %+v, want an error", args, got)
		}
	}
}
