package listener

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// socketMode returns the mode of a Unix socket, which the address may have.
func socketMode(text string, ok bool) (uint32, error) {
	if !ok {
		return defaultMode, nil
	}
	bits, err := strconv.ParseUint(text, 8, 32)
	if err != nil || bits&^0o777 != 0 || bits&0o200 == 0 {
		return 0, fmt.Errorf("|%s is not the mode of a socket: write an octal one with which its owner may connect, such as |0660", text)
	}
	return uint32(bits), nil
}

// owner has the user and the group of a Unix socket; -1 is unchanged.
type owner struct {
	uid, gid int
	set      bool // the option is set
}

// lookupOwner looks up `user`, `user:group` or `:group`, each a name or a number.
func lookupOwner(option string) (owner, error) {
	o := owner{-1, -1, true}
	name, groupName, _ := strings.Cut(option, ":")
	if name != "" {
		account, err := user.Lookup(name)
		if err != nil {
			if account, err = accountOf(name); err != nil {
				return o, fmt.Errorf("owner %s: the user %s does not exist: write the name of an existing user", option, name)
			}
		}
		if o.uid, err = strconv.Atoi(account.Uid); err == nil {
			o.gid, err = strconv.Atoi(account.Gid)
		}
		if err != nil {
			return o, fmt.Errorf("owner %s: %w", option, err)
		}
	}
	if groupName != "" {
		group, err := user.LookupGroup(groupName)
		if err != nil {
			if group, err = groupOf(groupName); err != nil {
				return o, fmt.Errorf("owner %s: the group %s does not exist: write the name of an existing group", option, groupName)
			}
		}
		if o.gid, err = strconv.Atoi(group.Gid); err != nil {
			return o, fmt.Errorf("owner %s: %w", option, err)
		}
	}
	return o, nil
}

// accountOf returns the user with that number, who need not have an account.
func accountOf(uid string) (*user.User, error) {
	if _, err := strconv.ParseUint(uid, 10, 31); err != nil {
		return nil, err
	}
	if account, err := user.LookupId(uid); err == nil {
		return account, nil
	}
	return &user.User{Uid: uid, Gid: "-1"}, nil
}

// groupOf returns the group with that number, which need not have a name.
func groupOf(gid string) (*user.Group, error) {
	if _, err := strconv.ParseUint(gid, 10, 31); err != nil {
		return nil, err
	}
	return &user.Group{Gid: gid}, nil
}
