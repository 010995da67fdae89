package poolcfg

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// UnixUser is the user and the groups that workers run as.
type UnixUser struct {
	Name string
	phpbin.Credential
}

// fallbackUsers are tried in this order if Caddy can run PHP as another user and none
// is configured.
var fallbackUsers = []string{"www-data", "nobody"}

// workerUser returns the user for the workers; nil means Caddy's own user. It does not
// check that Caddy may run processes as that user (see CheckUser), because `caddy
// validate` is often run by another user than Caddy.
func workerUser(option string) (*UnixUser, error) {
	if option != "" {
		if err := checkUserOption(option); err != nil {
			return nil, err
		}
		return lookupUser(option)
	}
	if ok, _ := phpbin.CanSwitchUser(); !ok {
		return nil, nil //nolint:nilnil // nil is Caddy's own user
	}
	for _, name := range fallbackUsers {
		if u, err := lookupUser(name); err == nil {
			return u, nil
		}
	}
	return nil, fmt.Errorf("user: Caddy can run PHP as another user, and neither %s exists: write user <name>, "+
		"which may be Caddy's own", strings.Join(fallbackUsers, " nor "))
}

// prepareUser fills in the user of the workers.
func (p *Plan) prepareUser() error {
	u, err := workerUser(p.Options.User)
	if err != nil {
		return err
	}
	p.User = u
	// No credential for Caddy's own user: setting it would need privileges.
	if u != nil && (isRoot() || int(u.UID) != os.Geteuid() || int(u.GID) != os.Getegid()) {
		p.Process.Credential = &u.Credential
	}
	return nil
}

// CheckUser returns an error if Caddy cannot start workers as the configured user.
func (p *Plan) CheckUser() error {
	ok, missing := phpbin.CanSwitchUser()
	if p.Process.Credential == nil || ok {
		return nil
	}
	if len(missing) == 0 {
		return fmt.Errorf("user %s: Caddy does not run as root and cannot start processes as another user or group: "+
			"run Caddy as root, or remove user", p.Options.User)
	}
	return fmt.Errorf("user %s: Caddy does not run as root and lacks %s, so it cannot start and end processes of another user or group: "+
		"run `systemctl edit caddy`, write the two lines below, and restart Caddy; or remove user\n"+
		"[Service]\nAmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL", p.Options.User, strings.Join(missing, ", "))
}

// detectOptions returns the options for detecting php-cgi. It runs as the pool's user
// if Caddy can do that.
func (p *Plan) detectOptions() phpbin.Options {
	o := p.Process
	if ok, _ := phpbin.CanSwitchUser(); !ok {
		o.Credential = nil
	}
	return o
}

// UserName returns the name of the workers' user for logs.
func (p *Plan) UserName() string {
	if p.Process.Credential == nil {
		return "the same as Caddy"
	}
	return p.User.Name
}

// UserID returns the numeric ID of the workers' user; -1 on Windows.
func (p *Plan) UserID() int {
	if c := p.Process.Credential; c != nil {
		return int(c.UID)
	}
	return os.Geteuid()
}

// lookupUser looks up `user` or `user:group`, each a name or a number.
func lookupUser(option string) (*UnixUser, error) {
	name, groupName, hasGroup := strings.Cut(option, ":")
	account, err := user.Lookup(name)
	if err != nil {
		if account, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user %s does not exist: write the name of an existing user", name)
		}
	}
	u := &UnixUser{Name: account.Username}
	if u.UID, err = parseID(account.Uid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if u.GID, err = parseID(account.Gid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if hasGroup {
		group, err := user.LookupGroup(groupName)
		if err != nil {
			if group, err = user.LookupGroupId(groupName); err != nil {
				return nil, fmt.Errorf("user %s: the group %s does not exist: write the name of an existing group", option, groupName)
			}
		}
		if u.GID, err = parseID(group.Gid); err != nil {
			return nil, fmt.Errorf("user %s: %w", option, err)
		}
	}
	ids, err := account.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("user %s: finding its groups: %w", name, err)
	}
	for _, id := range ids {
		gid, err := parseID(id)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		u.Groups = append(u.Groups, gid)
	}
	return u, nil
}

// parseID parses a numeric user or group ID. On Windows IDs are not numbers.
func parseID(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s is not a numeric user or group ID", id)
	}
	return uint32(n), nil
}

// CheckTraverse returns an error that names the first directory above path that the
// user may not enter, by its mode. ACLs are not considered.
func (u *UnixUser) CheckTraverse(path string) error {
	if dir := filepath.Dir(path); dir != path {
		if err := u.CheckTraverse(dir); err != nil {
			return err
		}
		return u.CheckMode(dir, 1, "enter (x)")
	}
	return nil
}

// CheckMode returns an error if the mode of a file does not grant the user the
// permission bit (4, 2 or 1); verb names that permission in the error. ACLs are not
// considered, and root is not treated specially.
func (u *UnixUser) CheckMode(path string, bit fs.FileMode, verb string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	granted, ok := u.Permissions(info)
	if !ok {
		return fmt.Errorf("%s: the owner is unknown", path)
	}
	if granted&bit != 0 {
		return nil
	}
	return fmt.Errorf("user %s may not %s %s (mode %v): give it that permission, or run the pool as another user",
		u.Name, verb, path, info.Mode())
}
