package phpbin

import "testing"

func TestParseVersion(t *testing.T) {
	tests := map[string]struct {
		output, text, sapi string
		ok                 bool
	}{
		"Debian":        {"PHP 8.2.36 (cgi-fcgi) (built: Nov 18 2026)\nCopyright", "8.2.36", "cgi-fcgi", true},
		"command line":  {"PHP 8.2.36 (cli) (built: Nov 18 2026)", "8.2.36", "cli", true},
		"candidate":     {"PHP 8.5.0RC1 (cgi-fcgi) (built: x)", "8.5.0RC1", "cgi-fcgi", true},
		"Ubuntu":        {"PHP 7.4.3-4ubuntu2.24 (cgi-fcgi) (built: x)", "7.4.3-4ubuntu2.24", "cgi-fcgi", true},
		"after warning": {"PHP Warning:  x in y\nPHP 8.4.1 (cgi-fcgi) (built: x)", "8.4.1", "cgi-fcgi", true},
		"another":       {"ls (GNU coreutils) 9.1", "", "", false},
		"nothing":       {"", "", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, text, sapi, ok := parseVersion(test.output)
			if text != test.text || sapi != test.sapi || ok != test.ok {
				t.Errorf("got %q %q %v", text, sapi, ok)
			}
		})
	}
}

func TestVersion_Order(t *testing.T) {
	v := Version{8, 2, 13}
	for _, test := range []struct {
		got, want bool
	}{
		{v.AtLeast(8, 2), true},
		{v.AtLeast(8, 2, 13), true},
		{v.AtLeast(8, 2, 14), false},
		{v.AtLeast(8, 3), false},
		{v.AtLeast(7, 4), true},
		{v.Compare(Version{8, 10, 0}) < 0, true},
		{v.Compare(Version{8, 2, 13}) < 0, false},
		{(&Binary{Version: v}).KeepsConnAfterGetValues(), true},
		{(&Binary{Version: Version{8, 2, 12}}).KeepsConnAfterGetValues(), false},
		{(&Binary{Version: Version{8, 1, 30}}).KeepsConnAfterGetValues(), false},
	} {
		if test.got != test.want {
			t.Errorf("%+v", test)
		}
	}
	if v.String() != "8.2.13" {
		t.Errorf("String: %s", v)
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"128M": 128 << 20, "1G": 1 << 30, "64k": 64 << 10, "1048576": 1 << 20, "-1": -1, "0": 0, "": 0, "lots": 0,
	} {
		if got := parseBytes(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestParseName(t *testing.T) {
	tests := map[string]struct {
		ok           bool
		plain        bool
		major, minor int
	}{
		"/usr/bin/php-cgi":                          {true, true, -1, -1},
		"/usr/bin/php-cgi8.2":                       {true, false, 8, 2},
		"/usr/bin/php-cgi83":                        {true, false, 8, 3},
		"/usr/local/bin/php-cgi-8.3":                {true, false, 8, 3},
		"/usr/bin/php83-cgi":                        {true, false, 8, 3},
		"/usr/bin/php8.10-cgi":                      {true, false, 8, 10},
		"/opt/homebrew/opt/php@8.3/bin/php-cgi":     {true, true, 8, 3},
		"/opt/remi/php83/root/usr/bin/php-cgi":      {true, true, 8, 3},
		"/opt/plesk/php/8.3/bin/php-cgi":            {true, true, 8, 3},
		"/opt/cpanel/ea-php82/root/usr/bin/php-cgi": {true, true, 8, 2},
		"/usr/bin/php":                              {},
		"/usr/bin/php8.2":                           {},
		"/usr/bin/php-cgi.dSYM":                     {},
		"/usr/bin/phpunit-cgi":                      {},
	}
	for path, want := range tests {
		c, ok := parseName(path)
		if ok != want.ok || ok && (c.plain != want.plain || c.major != want.major || c.minor != want.minor) {
			t.Errorf("%s: got %+v, %v", path, c, ok)
		}
	}
}
