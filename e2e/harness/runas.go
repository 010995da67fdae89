//go:build linux

package harness

import (
	"flag"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

var runAsFlag = flag.String("run-as", "", "run each Caddy as an unprivileged user: with the capabilities to start PHP as another user (capabilities)")

// A RunAs is how a Caddy runs when the tests run as root. The zero value follows the
// flag -run-as; without it Caddy is root.
type RunAs string

// AsCapable is a user who can start PHP as another user, by capabilities.
const AsCapable RunAs = "capabilities"

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
	if os.Getuid() != 0 || o.UID != 0 || o.RunAs == "" {
		return
	}
	switch o.RunAs {
	case AsCapable:
		o.UID = CapableUID
		if o.Ambient == nil {
			o.Ambient = UserCapabilities
		}
	default:
		s.T.Fatalf("-run-as %s: write capabilities", o.RunAs)
	}
	s.own()
}

// own lets the user that Caddy runs as create files in the server's directory.
func (s *Server) own() {
	if s.Options.RunAs == "" || s.Options.UID == 0 {
		return
	}
	if err := os.Chown(s.Dir, int(s.Options.UID), int(s.Options.UID)); err != nil {
		s.T.Fatal(err)
	}
}

// RunsAs reports whether each Caddy runs like this, because of -run-as.
func RunsAs(tb testing.TB, as RunAs) bool {
	tb.Helper()
	return os.Getuid() == 0 && *runAsFlag == string(as)
}
