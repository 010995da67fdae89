package doctor

import (
	"regexp"
	"strings"
	"testing"
)

func TestRemedies_Admin(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "/run/web")
	want := "write `admin unix//run/web/admin.sock` in the global options, and load that once with `caddy reload --address localhost:2019`; or write `admin off`"
	if got := adminRemedy(linux, "localhost:2019", runtimeDir()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := adminRemedy(linux, "localhost:2019", ""); !strings.HasPrefix(got, "create a directory") || !strings.Contains(got, "RuntimeDirectory=caddy") {
		t.Errorf("without a directory: got %s", got)
	}
}

// No system gets advice about the tools, files or users of another one.
func TestRemedies_OtherSystems(t *testing.T) {
	all := func(goos string) []string {
		return []string{
			sameUserRemedy(goos), sharedUserRemedy(goos), extensionRemedy(goos, "gd"), opcacheRemedy(goos, "8.3"),
			privilegeRemedy(goos), adminRemedy(goos, "localhost:2019", ""), socketDirRemedy(goos),
		}
	}
	ofLinux := regexp.MustCompile(`systemd|systemctl|Runtime|www-data|apt |Debian|"/run/`)
	ofUnix := regexp.MustCompile(`\broot\b|/run|pecl|write .user|sudo|unix/`)
	for _, goos := range []string{windows, darwin, "freebsd"} {
		for _, text := range all(goos) {
			if text == "" || ofLinux.MatchString(text) || goos == windows && ofUnix.MatchString(text) {
				t.Errorf("%s: got %q", goos, text)
			}
		}
	}
	for i, text := range all(linux) {
		if strings.Contains(text, "Windows") || strings.Contains(text, "Homebrew") {
			t.Errorf("linux: remedy %d is %q", i, text)
		}
	}
}
