package caddymodule

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// fallbackUsers are who PHP runs as when Caddy is root and nobody was named.
var fallbackUsers = []string{"www-data", "nobody"}

// workerUser finds out who the workers run as; nil is Caddy's own user. Whether
// Caddy may become that user shows when it starts, not here: `caddy validate`
// is often run by somebody else.
func workerUser(option string) (*identity, error) {
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

// lookupUser resolves `user` or `user:group`, by names or numbers.
func lookupUser(option string) (*identity, error) {
	name, groupName, hasGroup := strings.Cut(option, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user %s: there is no such user: write one that exists", name)
		}
	}
	who := &identity{name: u.Username}
	if who.uid, err = number(u.Uid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if who.gid, err = number(u.Gid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if hasGroup {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			if g, err = user.LookupGroupId(groupName); err != nil {
				return nil, fmt.Errorf("user %s: there is no group %s: write one that exists", option, groupName)
			}
		}
		if who.gid, err = number(g.Gid); err != nil {
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
