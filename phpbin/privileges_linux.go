package phpbin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// userCapabilities are the capabilities to start php-cgi as another user and to send it
// signals. Without CAP_KILL it would outlive this process.
var userCapabilities = []struct {
	name   string
	number int
}{{"CAP_SETUID", unix.CAP_SETUID}, {"CAP_SETGID", unix.CAP_SETGID}, {"CAP_KILL", unix.CAP_KILL}}

// CanSwitchUser reports whether this process can run php-cgi as another user, and kill
// it: it is root, or on Linux has the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL.
// missing are the names of those that it lacks; none on other systems.
func CanSwitchUser() (ok bool, missing []string) {
	if os.Geteuid() == 0 {
		return true, nil
	}
	for _, c := range userCapabilities {
		if !hasCapability(c.number) {
			missing = append(missing, c.name)
		}
	}
	return len(missing) == 0, missing
}

// CanDenyPorts reports whether [Confinement.OnlyPorts] works: the kernel can, and this
// process has the capability CAP_SYS_ADMIN, as root outside of containers has.
func CanDenyPorts() bool { return hasCapability(unix.CAP_SYS_ADMIN) && DetectConfinement().Ports }

// hasCapability reports whether a capability is effective.
func hasCapability(number int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[number/32].Effective&(1<<(number%32)) != 0
}

// watchdogAttr returns the attributes for starting the watchdog in the process group
// pgid. It kills php-cgi of another user, so it keeps the capability for that.
func watchdogAttr(pgid int) *syscall.SysProcAttr {
	pidfd := -1
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid, PidFD: &pidfd}
	if ok, _ := CanSwitchUser(); ok && os.Geteuid() != 0 {
		attr.AmbientCaps = []uintptr{unix.CAP_KILL}
	}
	return attr
}

// Grant gives a file or directory, which must be ours and no symbolic link, to a user:
// who becomes its owner or, if this process lacks CAP_CHOWN, gets the permissions of the
// owner by an access control list.
func Grant(path string, c *Credential) error {
	err := os.Lchown(path, int(c.UID), int(c.GID))
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	info, statErr := os.Lstat(path)
	if statErr != nil {
		return statErr
	}
	mode := uint16(info.Mode().Perm())
	if aclErr := unix.Lsetxattr(path, "system.posix_acl_access", userACL(c.UID, mode), 0); aclErr != nil {
		return fmt.Errorf("%w, and its file system has no access control lists (%w): give Caddy CAP_CHOWN", err, aclErr)
	}
	return nil
}

// userACL encodes an access control list (include/uapi/linux/posix_acl_xattr.h) of a
// file with this mode that gives one user the permissions of the owner.
func userACL(uid uint32, mode uint16) []byte {
	const undefinedID = ^uint32(0)
	b := binary.LittleEndian.AppendUint32(nil, 2) // POSIX_ACL_XATTR_VERSION
	for _, entry := range []struct {
		tag, permissions uint16
		id               uint32
	}{
		{0x01, mode >> 6 & 7, undefinedID}, // ACL_USER_OBJ
		{0x02, mode >> 6 & 7, uid},         // ACL_USER
		{0x04, mode >> 3 & 7, undefinedID}, // ACL_GROUP_OBJ
		{0x10, mode >> 6 & 7, undefinedID}, // ACL_MASK
		{0x20, mode & 7, undefinedID},      // ACL_OTHER
	} {
		b = binary.LittleEndian.AppendUint16(b, entry.tag)
		b = binary.LittleEndian.AppendUint16(b, entry.permissions)
		b = binary.LittleEndian.AppendUint32(b, entry.id)
	}
	return b
}
