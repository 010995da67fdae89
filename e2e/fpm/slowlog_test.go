//go:build linux

package fpm

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFPMSlowlog writes slow requests to the slowlog of their pool, which SIGUSR1 opens
// again.
func TestFPMSlowlog(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, "")
	i.configure(static2 + "slowlog = " + i.dir + "/$pool-slow.log\nrequest_slowlog_timeout = 1s\n")
	i.start()
	s := i.site()
	file := filepath.Join(i.dir, "www-slow.log")
	form := regexp.MustCompile(`^\n\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\]  \[pool www\] pid \d+\nscript_filename = ` + regexp.QuoteMeta(s.Site) + `/load/hold\.php\n(\[0x[0-9a-f]{16}\] \S+\(\) \S+:\d+\n)+$`)
	for round := range 2 {
		held := s.Hold(fmt.Sprint("slow", round))
		held.Add("")
		harness.Eventually(t, func() error {
			text, err := os.ReadFile(file)
			if err == nil && !form.Match(text) {
				err = fmt.Errorf("the slowlog has %q", text)
			}
			return err
		})
		i.waitLog("load/hold.php\") executing too slow (1.", round+1)
		held.Release()
		held.Want(0, 200)
		if err := os.Rename(file, file+".1"); err != nil {
			t.Fatal(err)
		}
		i.Signal(syscall.SIGUSR1)
		i.waitLog("re-opened", round+1)
	}
}
