package caddymodule

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// warnAdminAccess logs a warning if scripts that run as another user than Caddy can
// connect to its admin endpoint. It accepts any config, so they can do everything
// that Caddy can, and the separate user protects nothing.
func (a *App) warnAdminAccess() {
	listen, enabled := adminListen(a.ctx)
	if !enabled {
		return
	}
	var names, users []string
	var reason string
	for _, name := range slices.Sorted(maps.Keys(a.plans)) {
		plan := a.plans[name]
		if plan.Process.Credential == nil || plan.User == nil || int(plan.User.UID) == os.Geteuid() {
			continue // warnSameUser logs it
		}
		if why := canConnect(plan.User, listen); why != "" && !plan.DeniesPort() {
			names, reason = append(names, name), why
			if !slices.Contains(users, plan.User.Name) {
				users = append(users, plan.User.Name)
			}
		}
	}
	if len(names) > 0 {
		a.logger.Warn("PHP scripts can connect to the admin endpoint, which can load any config, so they can do everything that Caddy can",
			zap.Strings("pools", names), zap.Strings("users", users), zap.String("admin", listen.String()), zap.String("reason", reason),
			zap.String("remedy", doctor.AdminRemedy(listen.String())))
	}
}

// canConnect returns the reason why a user can connect to the address, or "" if it
// cannot.
func canConnect(user *poolcfg.UnixUser, listen caddy.NetworkAddress) string {
	switch {
	case listen.IsFdNetwork():
		return "" // who can connect depends on the process that opened it
	case !listen.IsUnixNetwork():
		return "every user of this machine can connect to a TCP port"
	case user.UID == 0:
		return ""
	}
	// A mode may follow the path of the socket, as in "/run/admin.sock|0222".
	path, _, _ := strings.Cut(listen.Host, "|")
	if strings.HasPrefix(path, "@") {
		return "every user of this machine can connect to an abstract socket"
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if user.CheckTraverse(path) != nil || user.CheckMode(path, 2, "connect to (w)") != nil {
		return ""
	}
	return fmt.Sprintf("the modes of %s and its directories allow it", path)
}

// adminListen returns the address of the admin endpoint of the config in a context,
// and whether it is enabled. Caddy does not export it (2.11: Context.cfg), so the
// field is read by reflection. If another version of Caddy has it elsewhere,
// adminListen returns Caddy's default address, and a test fails.
func adminListen(ctx caddy.Context) (listen caddy.NetworkAddress, enabled bool) {
	text := ""
	if cfg := reflect.ValueOf(ctx).FieldByName("cfg"); cfg.Kind() == reflect.Pointer && !cfg.IsNil() {
		if admin := cfg.Elem().FieldByName("Admin"); admin.Kind() == reflect.Pointer && !admin.IsNil() {
			if disabled := admin.Elem().FieldByName("Disabled"); disabled.Kind() == reflect.Bool && disabled.Bool() {
				return listen, false
			}
			if address := admin.Elem().FieldByName("Listen"); address.Kind() == reflect.String && address.String() != "" {
				text = address.String()
			}
		}
	}
	return parseAdminListen(text)
}

// parseAdminListen parses the address of the admin endpoint; "" is Caddy's default.
func parseAdminListen(text string) (listen caddy.NetworkAddress, enabled bool) {
	text, err := caddy.NewReplacer().ReplaceOrErr(cmp.Or(text, caddy.DefaultAdminListen), true, true)
	if err != nil {
		return listen, false // Caddy does not start with this config
	}
	listen, err = caddy.ParseNetworkAddress(text)
	return listen, err == nil
}

// warnSharedUser logs a warning for each isolated pool that has the same user as
// another pool: only a separate user protects a process from another one.
func (a *App) warnSharedUser() {
	for name, plan := range a.plans {
		if !plan.Options.Isolates() {
			continue
		}
		for otherName, other := range a.plans {
			if otherName != name && plan.UserID() == other.UserID() {
				a.logger.Warn("an isolated pool runs as the same user as another pool, which can read its files and kill its workers; "+
					doctor.SharedUserRemedy(), zap.String("pool", name), zap.String("other_pool", otherName), zap.String("user", plan.UserName()))
				break
			}
		}
	}
}
