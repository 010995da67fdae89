//go:build linux

package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// StartWebServer runs a web server until the test ends, and returns when it listens at
// the ports. It has to run until then.
func StartWebServer(tb testing.TB, c Command, ports ...int) *Supervised {
	tb.Helper()
	c.Env = append(c.Env, "PATH="+os.Getenv("PATH"))
	k := Supervise(tb, c)
	tb.Cleanup(func() {
		if _, exited := k.Wait(0); exited {
			tb.Errorf("%s exited with code %d:\n%s", c.Args[0], k.ExitCode, tail(ReadFile(tb, c.Log)))
		}
	})
	for _, port := range ports {
		Eventually(tb, func() error {
			select {
			case <-k.Exited:
				tb.Fatalf("%s exited with code %d:\n%s", c.Args[0], k.ExitCode, tail(ReadFile(tb, c.Log)))
			default:
			}
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				return fmt.Errorf("%s does not listen:\n%s", c.Args[0], tail(ReadFile(tb, c.Log)))
			}
			return conn.Close()
		})
	}
	return k
}

// Unpacked returns the path of a file in a package that make deps has unpacked: the
// name of the package and the path in it.
func Unpacked(tb testing.TB, path string) string {
	tb.Helper()
	path = filepath.Join(CacheDir(tb), path)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%s is missing: run make deps, which fetches it", path)
	}
	return path
}
