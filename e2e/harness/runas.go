//go:build linux

package harness

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
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

// An Exception is a test that ignores -run-as.
type Exception struct {
	Test string // or a pattern of path.Match; its subtests are included
	Mode RunAs  // in which it does; empty: in both
	Why  string
}

// Exceptions are all tests whose Caddy is root whatever -run-as says. Tests that are
// about one way to run have it in their [Options].
var Exceptions = []Exception{
	{"TestPID1_*", "", "makes Caddy process 1 of a pid namespace, by unshare(1)"},
	{"TestProc_*", "", "takes /proc away from Caddy, by umount(8) and unshare(1)"},
	{"TestListener_Access", "", "gives a socket to another user: owner takes CAP_CHOWN"},
	{"TestSocket_OwnerAndMode", "", "gives a socket to another user: owner takes CAP_CHOWN"},
	{"TestDocs_Samples", AsConfined, "has the samples of a Caddy that is root"},
	{"TestFPMDebian", "", "has Debian's pool, which gives its socket to www-data: that takes CAP_CHOWN"},
	{"TestFPMReload_Broken", "", "has chroot, which a master that is not root ignores"},
	{"TestFPMCheck_Root", "", "is about a master that is root"},
	{"TestWarmup_Preload/*/for root", AsConfined, "runs PHP as root"},
	{"TestUser_PoolsCannotReachEachOther", AsConfined, "has pools of two users"},
	{"TestUser_ProcessAttributes", AsConfined, "has pools of two users"},
	{"TestUser_SameAsCaddyWarning", AsConfined, "is about PHP of another user than Caddy's too"},
	{"TestIsolate_*", AsConfined, "has pools of two users"},
	{"TestEnvironment_NotInherited", AsConfined, "has pools of two users"},
	{"TestAdminEndpoint_AccessFromPHP", AsConfined, "is about PHP of another user than Caddy's; the counterpart is TestConfine_ScriptCannotReachCaddy"},
}

// exception returns the entry of a test in a mode, or nil.
func exception(test string, mode RunAs) *Exception {
	name := strings.Split(test, "/")
	for i, e := range Exceptions {
		part := strings.Split(strings.ReplaceAll(e.Test, " ", "_"), "/")
		if e.Mode != "" && e.Mode != mode || len(part) > len(name) {
			continue
		}
		if !slices.ContainsFunc(part, func(pattern string) bool {
			ok, err := path.Match(pattern, name[0])
			name = name[1:]
			return !ok || err != nil
		}) {
			return &Exceptions[i]
		}
		name = strings.Split(test, "/")
	}
	return nil
}

// modeOf returns the mode of -run-as, or AsRoot if the test is an exception.
func modeOf(tb testing.TB) RunAs {
	tb.Helper()
	mode := RunAs(*runAsFlag)
	if mode == "" {
		return ""
	}
	if e := exception(tb.Name(), mode); e != nil {
		tb.Logf("Caddy is root, not %s: the test %s", mode, e.Why)
		return AsRoot
	}
	return mode
}

// runAs prepares the server for the user that Caddy runs as.
func (s *Server) runAs() {
	o := &s.Options
	if o.RunAs == "" && o.UID == 0 && os.Getuid() == 0 {
		o.RunAs = modeOf(s.T)
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
		o.Env = slices.Concat(accountEnv(s.T), []string{"CREDENTIALS_DIRECTORY=" + confinedHomes}, o.Env)
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

// accountEnv returns what systemd sets for the user of [AsConfined].
func accountEnv(tb testing.TB) []string {
	tb.Helper()
	u := PHPUser(tb)
	return []string{"HOME=" + u.HomeDir, "USER=" + u.Username}
}

// AsCaddy lets a command run as -run-as says, for tests that do not use [Start].
func AsCaddy(tb testing.TB, c Command) Command {
	tb.Helper()
	if c.UID, c.Ambient = CaddyUser(tb); c.UID != 0 && c.Ambient == nil {
		c.Env = slices.Concat(c.Env, accountEnv(tb))
	}
	return c
}

// CaddyUser returns the user of a Caddy that -run-as says, and its ambient capabilities.
func CaddyUser(tb testing.TB) (uid uint32, ambient []uintptr) {
	tb.Helper()
	if os.Getuid() != 0 {
		return 0, nil
	}
	switch modeOf(tb) {
	case AsCapable:
		return CapableUID, UserCapabilities
	case AsConfined:
		return PHPUID(tb), nil
	case AsRoot:
	}
	return 0, nil
}

// HideFromPHP makes a file one that Caddy can read, and PHP only if it is of the same user.
func HideFromPHP(tb testing.TB, path string) {
	tb.Helper()
	if uid, _ := CaddyUser(tb); uid != 0 {
		Chown(tb, path, int(uid), int(uid))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// RunsAs reports whether -run-as says so.
func RunsAs(as RunAs) bool { return os.Getuid() == 0 && RunAs(*runAsFlag) == as }
