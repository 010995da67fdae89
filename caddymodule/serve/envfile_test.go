package serve

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// caddyParses loads a file as Caddy's own commands do, and returns the variables that are new.
func caddyParses(t *testing.T, file string) (map[string]string, error) {
	t.Helper()
	environ := slices.Clone(os.Environ())
	stdout := os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		os.Stdout = stdout
		null.Close()
		os.Clearenv()
		for _, variable := range environ {
			// On Windows a name may begin with =.
			if i := strings.IndexByte(variable[1:], '=') + 1; i > 0 {
				os.Setenv(variable[:i], variable[i+1:])
			}
		}
	}()
	os.Stdout = null // the command prints all variables
	flags := &cobra.Command{}
	caddycmd.Commands()["environ"].CobraFunc(flags)
	if err := flags.Flags().Set("envfile", file); err != nil {
		t.Fatal(err)
	}
	before := map[string]bool{}
	for _, variable := range environ {
		before[variable] = true
	}
	flags.SilenceErrors = true
	if err := flags.RunE(flags, nil); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); !before[variable] {
			found[name] = value
		}
	}
	return found, nil
}

// TestServe_Envfile compares the parser with Caddy's.
func TestServe_Envfile(t *testing.T) {
	for _, text := range []string{
		"",
		"PP_A=b",
		"# comment\n\n  PP_A=b  \nexport PP_B=c\nPP_A=later",
		"PP_A=b # comment\nPP_B=b#c\nPP_C=\"a # b\"",
		"PP_A=\"two words\"\nPP_B='it'\nPP_C=\"\"\nPP_D=",
		"PP_A=\"first\nsecond\"\nPP_B=c",
		"PP_A='first\n\\'second\\'\nthird'\nPP_B=c",
		"PP_A=\"a\\\"b\"\nPP_B=\"ends with \\\"\nnext\"",
		"PP_A=\"never ends\nPP_B=c",
		"PP_A=$HOME ${HOME} `id`",
		"PP_A=b=c\nPP_B=\\n",
		"PP_A",
		"=b",
		"PP A=b",
		"PP_A =b",
		"PP_A= b",
		"PP_A=\tb",
		"PP_A=b\r\nPP_B=c\r\n",
	} {
		file := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want, wantErr := caddyParses(t, file)
		got, err := readEnvfiles([]string{file})
		if (err == nil) != (wantErr == nil) || err == nil && !maps.Equal(got, want) {
			t.Errorf("%q: got %q, %v; Caddy has %q, %v", text, got, err, want, wantErr)
		}
	}
	if _, err := readEnvfiles([]string{"/missing/.env"}); err == nil || !strings.Contains(err.Error(), "--envfile") {
		t.Errorf("got %v", err)
	}
}

func TestServe_SetEnv(t *testing.T) {
	home := t.TempDir()
	t.Setenv("PP_SET", "before")
	t.Setenv("PP_UNSET", "")
	t.Setenv("XDG_DATA_HOME", "")
	os.Unsetenv("PP_UNSET")
	os.Unsetenv("XDG_DATA_HOME")
	storage := caddy.DefaultStorage.Path
	autosave := caddy.ConfigAutosavePath
	defer func() { caddy.DefaultStorage.Path, caddy.ConfigAutosavePath = storage, autosave }()
	if err := setEnv(map[string]string{"PP_SET": "after", "PP_UNSET": "after", "XDG_DATA_HOME": home}); err != nil {
		t.Fatal(err)
	}
	if got := os.Getenv("PP_SET") + " " + os.Getenv("PP_UNSET"); got != "before after" {
		t.Errorf("got %s", got)
	}
	if !strings.HasPrefix(caddy.DefaultStorage.Path, home) {
		t.Errorf("the storage is %s", caddy.DefaultStorage.Path)
	}
}

// The first file decides. PHP gets what it may have.
func TestServe_EnvfileCaddyfile(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	for file, text := range map[string]string{
		first:  "APP_ENV=dev\nHOME=/srv\nHTTP_PROXY=x\nSECRET='two\nlines'",
		second: "APP_ENV=prod\nDB=x\n*=y",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _, err := parse(t, "index.php", "DIR --production --envfile "+first+" --envfile "+second+" --print")
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.caddyfile()
	if err != nil || s.env["APP_ENV"] != "dev" {
		t.Errorf("got %v, %v", s.env, err)
	}
	const want = "\tphp_pool {\n\t\tprocess_env APP_ENV {env.APP_ENV}\n\t\tprocess_env DB {env.DB}\n\t\tprocess_env SECRET {env.SECRET}\n\t}\n"
	if !strings.Contains(text, want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
