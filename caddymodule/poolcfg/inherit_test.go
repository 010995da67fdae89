package poolcfg

import (
	"maps"
	"testing"
)

func TestInheritEnv(t *testing.T) {
	environ := []string{
		"APP_KEY=1", "APP_DEBUG=2", "DB_PASSWORD=a=b", "EMPTY=", "HOME=/root", "USER=root", "TMPDIR=/x", "CADDY_X=1", "CF_API_TOKEN=1",
		"NOTIFY_SOCKET=/run/x", "LISTEN_FDS=3", "STATE_DIRECTORY=/var/lib/caddy", "XDG_DATA_HOME=/x", "HTTP_PROXY=http://x", "QUERY_STRING=x",
		"PHP_INI_SCAN_DIR=/x", "SHLVL=1", "=C:=C:\\",
	}
	type env map[string]string
	for name, c := range map[string]struct {
		o    Options
		want env
	}{
		"none":        {Options{ProcessEnv: env{"A": "b"}}, env{"A": "b"}},
		"nothing":     {Options{InheritEnv: []string{}}, nil},
		"all":         {Options{InheritEnv: []string{"*"}}, env{"APP_KEY": "1", "APP_DEBUG": "2", "DB_PASSWORD": "a=b", "EMPTY": ""}},
		"overridden":  {Options{InheritEnv: []string{"APP_*"}, ProcessEnv: env{"APP_KEY": "own"}}, env{"APP_KEY": "own", "APP_DEBUG": "2"}},
		"excluded":    {Options{InheritEnv: []string{"!*_DEBUG", "*", "!DB_*", "!EMPTY"}}, env{"APP_KEY": "1"}},
		"named":       {Options{InheritEnv: []string{"CF_*", "STATE_*", "HTTP_*"}}, env{"CF_API_TOKEN": "1", "STATE_DIRECTORY": "/var/lib/caddy"}},
		"only a word": {Options{InheritEnv: []string{"H*", "PHP_*", "T*"}}, env{}},
	} {
		if got := c.o.environment(environ); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	for _, pattern := range []string{"[", "!", "", "![a"} {
		if (&Options{InheritEnv: []string{pattern}}).Validate() == nil {
			t.Errorf("pattern %q was accepted", pattern)
		}
	}
}

// A pool can turn off what the defaults pass.
func TestMerge_InheritEnv(t *testing.T) {
	defaults := &Options{InheritEnv: []string{"*"}}
	for name, c := range map[string]struct {
		own  []string
		want int
	}{"not set": {nil, 1}, "off": {[]string{}, 0}, "others": {[]string{"A_*", "B_*"}, 2}} {
		o, err := Merge(defaults, &Options{InheritEnv: c.own})
		if err != nil || len(o.InheritEnv) != c.want {
			t.Errorf("%s: got %v, %v, want %d patterns", name, o.InheritEnv, err, c.want)
		}
	}
}
