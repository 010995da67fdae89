//go:build linux

package harness

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

var runAsFlag = flag.String("run-as", "", "run each Caddy as an unprivileged user: with the capabilities to start PHP as another user "+
	"(capabilities), or with PHP as the same user, confined (confined)")

// A RunAs is how a Caddy runs when the tests run as root. The zero value follows the
// flag -run-as; without it Caddy is root.
type RunAs string

const (
	// AsRoot is as the tests themselves, whatever -run-as says.
	AsRoot RunAs = "root"

	// AsCapable is a user who can start PHP as another user, by capabilities.
	AsCapable RunAs = "capabilities"

	// AsConfined is the user that PHP runs as otherwise, without any capability. PHP
	// is that user too, and confined.
	AsConfined RunAs = "confined"
)

// CapableUID is the user of [AsCapable]. It has no account.
const CapableUID = 4242

// UserCapabilities are the capabilities of [AsCapable].
var UserCapabilities = []uintptr{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL}

// runAs prepares the server for the user that Caddy runs as.
func (s *Server) runAs() {
	o := &s.Options
	if o.RunAs == "" {
		o.RunAs = RunAs(*runAsFlag)
	}
	if os.Getuid() != 0 || o.UID != 0 || o.RunAs == "" || o.RunAs == AsRoot {
		return
	}
	switch o.RunAs {
	case AsCapable:
		o.UID = CapableUID
		if o.Ambient == nil {
			o.Ambient = UserCapabilities
		}
		// For isolate: PHP cannot enter Caddy's data directory.
		o.Env = append(slices.Clone(o.Env), "STATE_DIRECTORY="+filepath.Join(s.Dir, "state"))
	case AsConfined:
		o.UID = PHPUID(s.T)
		s.Home = confinedHome(s.T)
		o.Env = append(slices.Clone(o.Env), "CREDENTIALS_DIRECTORY="+confinedHomes)
		s.Own(s.Home)
	default:
		s.T.Fatalf("-run-as %s: write capabilities or confined", o.RunAs)
	}
	s.Own(s.Dir)
}

// confinedHomes is where Caddy has its own directories. It is not in /tmp, in which
// nothing can be hidden. All of it is hidden from each PHP: otherwise the directories of
// tests that run at the same time would be new names beside the hidden one.
const confinedHomes = "/var/lib/php_pool-e2e"

// confinedHome creates a directory in confinedHomes, which may be removed meanwhile.
func confinedHome(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		if err := os.Mkdir(confinedHomes, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			tb.Fatal(err)
		}
		dir, err := os.MkdirTemp(confinedHomes, "")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				tb.Error(err)
			}
			os.Remove(confinedHomes) // unless another test uses it
		})
		return dir
	}
	tb.Fatalf("%s does not stay", confinedHomes)
	return ""
}

// Own lets the user that Caddy runs as create files in a directory.
func (s *Server) Own(dir string) {
	if s.Options.UID == 0 {
		return
	}
	if err := os.Chown(dir, int(s.Options.UID), int(s.Options.UID)); err != nil {
		s.T.Fatal(err)
	}
}

// RunsAs reports whether each Caddy runs like this, because of -run-as.
func RunsAs(tb testing.TB, as RunAs) bool {
	tb.Helper()
	return os.Getuid() == 0 && *runAsFlag == string(as)
}
