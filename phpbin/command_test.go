package phpbin_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestArgs(t *testing.T) {
	tests := map[string]struct {
		options phpbin.Options
		want    []string
	}{
		"none":         {},
		"ini file":     {phpbin.Options{INIFile: "/etc/php.ini"}, []string{"-c", "/etc/php.ini"}},
		"order stays":  {ini("a", "1", "b", "2", "a", "3"), []string{"-d", "a=1", "-d", "b=2", "-d", "a=3"}},
		"empty":        {ini("a", ""), []string{"-d", "a="}},
		"word":         {ini("display_errors", "off"), []string{"-d", "display_errors=off"}},
		"path":         {ini("a", "/srv/www-1:/tmp"), []string{"-d", "a=/srv/www-1:/tmp"}},
		"space":        {ini("a", "one two"), []string{"-d", "a='one two'"}},
		"comment":      {ini("a", "one;two"), []string{"-d", "a='one;two'"}},
		"single quote": {ini("a", "it's"), []string{"-d", `a='it'"'"'s'`}},
		"only quote":   {ini("a", "'"), []string{"-d", `a="'"`}},
		"constants":    {ini("a", "E_ALL & ~E_NOTICE"), []string{"-d", "a=E_ALL & ~E_NOTICE"}},
		"tilde first":  {ini("a", "~E_NOTICE"), []string{"-d", "a=0|~E_NOTICE"}},
		"no constants": {ini("a", "R & B"), []string{"-d", "a='R & B'"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.options.Args(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func ini(pairs ...string) phpbin.Options {
	var o phpbin.Options
	for pair := range slices.Chunk(pairs, 2) {
		o.INI = append(o.INI, phpbin.Setting{Name: pair[0], Value: pair[1]})
	}
	return o
}

// iniValues are values that PHP's ini parser could misinterpret.
var iniValues = []string{
	"", "plain", "1", "-1", "two words", " spaces around ", "semi;colon", "a=b", "# hash", "[brackets]", "{braces}",
	`double "quotes"`, `"quoted"`, "it's", "'", "''", `'quoted'`, `mixed "it's"`, `back\slash`, `trailing\`, `\'`, `\"`,
	"${HOME}", "it's ${HOME}", "$HOME", "a|b", "a & b", "~a", "!a", "(a)", "a,b;c:d", "tab\there", "line\nbreak", "Grüße", "%s",
	"/a/b:/c d", "http://example.com/?a=b&c=d#e", "E_ALL", "50%", "^a$", "`a`", "@x",
}

// parsedINI returns what PHP must make of one of them.
func parsedINI(t *testing.T, value string) string {
	t.Helper()
	if value == "E_ALL" {
		return errorLevels(t)
	}
	return value
}

// errorLevels returns the value of E_ALL: 32767, since PHP 8.4 without E_STRICT 30719.
func errorLevels(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(php(t), "-n", "-q")
	cmd.Env = []string{"HOME=/home/of/nobody"}
	cmd.Stdin = strings.NewReader("<?php echo E_ALL;")
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(output)
}

func TestArgs_QuotedINIValues(t *testing.T) {
	for _, value := range iniValues {
		o := ini("user_agent", value)
		cmd := exec.Command(php(t), append(o.Args(), "-q")...)
		cmd.Env = []string{"HOME=/home/of/nobody"}
		cmd.Stdin = strings.NewReader("<?php echo json_encode(ini_get('user_agent'));")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		output, err := cmd.Output()
		if err != nil || stderr.Len() > 0 {
			t.Fatalf("%q: %v\n%s", value, err, &stderr)
		}
		var got string
		if err := json.Unmarshal(output, &got); err != nil {
			t.Fatalf("%q: %v in %s", value, err, output)
		}
		if got != parsedINI(t, value) {
			t.Errorf("%q: got %q with %q", value, got, o.Args()[1])
		}
	}
}

func TestEnviron(t *testing.T) {
	for _, name := range []string{"PATH", "LANG", "TZ", "TMPDIR", "HOME", "USER"} {
		t.Setenv(name, "") // restores it afterwards
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SECRET", "hidden")
	t.Setenv("HTTP_PROXY", "hidden")
	t.Setenv("PATH", "/bin")
	t.Setenv("HOME", "/root")
	none := ""
	tests := map[string]struct {
		options phpbin.Options
		want    []string
	}{
		"inherited":    {phpbin.Options{}, []string{"HOME=/root", "PATH=/bin"}},
		"configured":   {phpbin.Options{Env: map[string]string{"A": "1", "PATH": "/x"}}, []string{"A=1", "HOME=/root", "PATH=/x"}},
		"no scan dir":  {phpbin.Options{INIScanDir: &none}, []string{"HOME=/root", "PATH=/bin", "PHP_INI_SCAN_DIR="}},
		"another user": {phpbin.Options{Credential: &phpbin.Credential{UID: 4242}}, []string{"PATH=/bin"}},
		"HOME of another user": {
			phpbin.Options{Credential: &phpbin.Credential{UID: 4242}, Env: map[string]string{"HOME": "/h"}},
			[]string{"HOME=/h", "PATH=/bin"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.options.Environ(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestValidate_Errors(t *testing.T) {
	good := phpbin.Options{Binary: "php-cgi", Handshake: handshake}
	if err := good.Validate(); err != nil {
		t.Fatalf("good options: %v", err)
	}
	mask := 0o1777
	tests := map[string]struct {
		change func(o *phpbin.Options)
		want   string
	}{
		"no binary":           {func(o *phpbin.Options) { o.Binary = "" }, "Options.Binary is empty"},
		"no handshake":        {func(o *phpbin.Options) { o.Handshake = nil }, "Options.Handshake is nil"},
		"ini name":            {func(o *phpbin.Options) { o.INI = ini("a b", "").INI }, `invalid ini directive name "a b"`},
		"ini line":            {func(o *phpbin.Options) { o.INI = ini("a\nb", "").INI }, "invalid ini directive name"},
		"NUL":                 {func(o *phpbin.Options) { o.INI = ini("a", "\x00").INI }, "NUL"},
		"httpoxy":             {func(o *phpbin.Options) { o.Env = map[string]string{"HTTP_PROXY": "x"} }, "HTTP_PROXY"},
		"httpoxy, lower case": {func(o *phpbin.Options) { o.Env = map[string]string{"http_proxy": "x"} }, "http_proxy"},
		"CGI":                 {func(o *phpbin.Options) { o.Env = map[string]string{"GATEWAY_INTERFACE": "x"} }, "GATEWAY_INTERFACE"},
		"children":            {func(o *phpbin.Options) { o.Env = map[string]string{"PHP_FCGI_CHILDREN": "9"} }, "PHP_FCGI_CHILDREN"},
		"scan dir":            {func(o *phpbin.Options) { o.Env = map[string]string{"PHP_INI_SCAN_DIR": "x"} }, "ini scan directory"},
		"env name":            {func(o *phpbin.Options) { o.Env = map[string]string{"A=B": "x"} }, `invalid environment variable name "A=B"`},
		"umask":               {func(o *phpbin.Options) { o.Umask = &mask }, "umask"},
		"nice":                {func(o *phpbin.Options) { o.Nice = 20 }, "nice"},
		"unknown resource":    {func(o *phpbin.Options) { o.Rlimits = []phpbin.Rlimit{{Resource: "luck"}} }, `"luck"`},
		"oom_score_adj":       {func(o *phpbin.Options) { o.OOMScoreAdj = new(1001) }, "oom_score_adj must be between -1000 and 1000, got 1001"},
		"soft above hard": {
			func(o *phpbin.Options) { o.Rlimits = []phpbin.Rlimit{{Resource: "nofile", Soft: 64, Hard: 32}} }, "above the hard limit",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := good
			test.change(&o)
			if err := o.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
