//go:build linux

package security

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestProc_Missing starts Caddy without /proc, and with that of another pid namespace:
// the start of a shared master is refused at once, with a remedy, which works.
func TestProc_Missing(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		wrapper []string
		want    string
		single  bool // try the remedy: unshare -f would not pass on the signal to stop
	}{
		"none": {[]string{unshare, "-m", "/bin/sh", "-c", `umount -l /proc && exec "$@"`, "sh"}, "a shared php-cgi master needs /proc", true},
		"of another pid namespace": {
			[]string{unshare, "-p", "-f", "--kill-child"},
			"/proc is mounted for another pid namespace", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Prepare(t, harness.SharedLean, harness.Options{Wrapper: c.wrapper})
			err := s.Run(harness.PlainSite)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "write spawn single") {
				t.Errorf("got %v, want %q and the remedy", err, c.want)
			}
			if !c.single {
				return
			}
			single := harness.Prepare(t, harness.SingleLean, harness.Options{Wrapper: c.wrapper})
			if err := single.Run(harness.PlainSite); err != nil {
				t.Fatal(err)
			}
			single.Get("/hello.php").Want(t, 200, "hello\n")
		})
	}
}
