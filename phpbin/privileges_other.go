//go:build !linux

package phpbin

import "os"

// CanSwitchUser reports whether this process can run php-cgi as another user, and kill
// it: it is root, or on Linux has the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL.
// missing are the names of those that it lacks; none on other systems.
func CanSwitchUser() (ok bool, missing []string) { return os.Geteuid() == 0, nil }

// CanDenyPorts returns false: only Linux can.
func CanDenyPorts() bool { return false }

// Grant makes a user the owner of a file or directory.
func Grant(path string, c *Credential) error { return os.Lchown(path, int(c.UID), int(c.GID)) }
