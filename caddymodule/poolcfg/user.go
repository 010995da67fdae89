package poolcfg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// fallbackUsers are who PHP runs as when Caddy is root and nobody was named.
var fallbackUsers = []string{"www-data", "nobody"}

// workerUser finds out who the workers run as; nil is Caddy's own user. Whether
// Caddy may become that user shows when it starts, not here: `caddy validate`
// is often run by somebody else.
func workerUser(option string) (*UnixUser, error) {
	if option != "" {
		return lookupUser(option)
	}
	if !isRoot() {
		return nil, nil //nolint:nilnil // nil is Caddy's own user
	}
	for _, name := range fallbackUsers {
		if who, err := lookupUser(name); err == nil {
			return who, nil
		}
	}
	return nil, fmt.Errorf("user: Caddy runs as root and there is neither %s: write user <name>, "+
		"or user root if PHP really is to run as root", strings.Join(fallbackUsers, " nor "))
}

// prepareUser finds out who the workers run as.
func (s *Plan) prepareUser() error {
	who, err := workerUser(s.Options.User)
	if err != nil {
		return err
	}
	s.User = who
	// As the user that it is, Caddy needs no right to start processes.
	if who != nil && (isRoot() || int(who.UID) != os.Geteuid() || int(who.GID) != os.Getegid()) {
		s.Process.Credential = &phpbin.Credential{UID: who.UID, GID: who.GID, Groups: who.groups}
	}
	return nil
}

// CheckUser says why Caddy cannot start workers as the user that was named.
func (s *Plan) CheckUser() error {
	if s.Process.Credential == nil || isRoot() {
		return nil
	}
	return fmt.Errorf("user %s: Caddy does not run as root and cannot start processes as another user or group: "+
		"run Caddy as root, or take user out", s.Options.User)
}

// detectOptions is how php-cgi is asked what it is: as the pool's user where we may.
func (s *Plan) detectOptions() phpbin.Options {
	o := s.Process
	if !isRoot() {
		o.Credential = nil
	}
	return o
}

// UserName names the workers' user for the log.
func (s *Plan) UserName() string {
	if s.Process.Credential == nil {
		return "the same as Caddy"
	}
	return s.User.Name
}

// UserID is the number of the workers' user.
func (s *Plan) UserID() int {
	if c := s.Process.Credential; c != nil {
		return int(c.UID)
	}
	return os.Geteuid()
}

// lookupUser resolves `user` or `user:group`, by names or numbers.
func lookupUser(option string) (*UnixUser, error) {
	name, groupName, hasGroup := strings.Cut(option, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user %s: there is no such user: write one that exists", name)
		}
	}
	who := &UnixUser{Name: u.Username}
	if who.UID, err = number(u.Uid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if who.GID, err = number(u.Gid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if hasGroup {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			if g, err = user.LookupGroupId(groupName); err != nil {
				return nil, fmt.Errorf("user %s: there is no group %s: write one that exists", option, groupName)
			}
		}
		if who.GID, err = number(g.Gid); err != nil {
			return nil, fmt.Errorf("user %s: %w", option, err)
		}
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("user %s: finding its groups: %w", name, err)
	}
	for _, id := range ids {
		gid, err := number(id)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		who.groups = append(who.groups, gid)
	}
	return who, nil
}

func number(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s is no number of a user or group", id)
	}
	return uint32(n), nil
}

// user is who the workers run as.
type UnixUser struct {
	Name     string
	UID, GID uint32
	groups   []uint32
}

// CheckTraverse looks for the first directory above path that the user may not enter.
func (who *UnixUser) CheckTraverse(path string) error {
	if dir := filepath.Dir(path); dir != path {
		if err := who.CheckTraverse(dir); err != nil {
			return err
		}
		return who.CheckMode(dir, 1, "enter (x)")
	}
	return nil
}

// CheckMode checks one permission bit, as the owner's, the group's or the others'.
func (who *UnixUser) CheckMode(path string, bit fs.FileMode, verb string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid, ok := fileOwner(info)
	if !ok {
		return errors.New("the owner of " + path + " is not known")
	}
	shift := 0
	switch {
	case uid == who.UID:
		shift = 6
	case gid == who.GID, slices.Contains(who.groups, gid):
		shift = 3
	}
	if info.Mode().Perm()&(bit<<shift) != 0 {
		return nil
	}
	return fmt.Errorf("user %s may not %s %s (mode %v): give it that permission, or run the pool as another user",
		who.Name, verb, path, info.Mode())
}
