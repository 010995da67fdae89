package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// warnAdminAccess tells at load when scripts that run as another user than Caddy
// can open its admin endpoint all the same: that loads any config, so they are
// Caddy, and the other user protects nothing.
func (a *App) warnAdminAccess() {
	listen, enabled := adminListen(a.ctx)
	if !enabled {
		return
	}
	for name, s := range a.plans {
		if s.Process.Credential == nil || s.User == nil || int(s.User.UID) == os.Geteuid() {
			continue // that has a warning of its own
		}
		if why := canConnect(s.User, listen); why != "" {
			a.logger.Warn("PHP scripts can open the admin endpoint, which can load any config, so they may do all that Caddy may; "+
				"write `admin unix//run/caddy/admin.sock` in the global options, or `admin off`",
				zap.String("pool", name), zap.String("user", s.User.Name), zap.String("admin", listen.String()), zap.String("why", why))
			return
		}
	}
}

// canConnect says why a user can connect to the address; "" when it cannot.
func canConnect(who *poolcfg.UnixUser, listen caddy.NetworkAddress) string {
	switch {
	case listen.IsFdNetwork():
		return "" // whoever opened it has to know
	case !listen.IsUnixNetwork():
		return "every user of this machine can connect to a TCP port"
	case who.UID == 0:
		return ""
	}
	// Caddy has cut off the mode that may follow the path ("|0222") when it
	// made the socket, and so do we.
	path, _, _ := strings.Cut(listen.Host, "|")
	if strings.HasPrefix(path, "@") {
		return "every user of this machine can connect to an abstract socket"
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if who.CheckTraverse(path) != nil || who.CheckMode(path, 2, "connect to (w)") != nil {
		return ""
	}
	return fmt.Sprintf("the modes of %s and its directories let it", path)
}

// adminListen is where the admin endpoint of the config in a context listens.
// Caddy tells nobody (2.11: Context.cfg), so the field is read, not used, by
// reflection. Where a later Caddy has it elsewhere, it is taken for Caddy's
// default; a test sees that.
func adminListen(ctx caddy.Context) (listen caddy.NetworkAddress, enabled bool) {
	text := caddy.DefaultAdminListen
	if cfg := reflect.ValueOf(ctx).FieldByName("cfg"); cfg.Kind() == reflect.Pointer && !cfg.IsNil() {
		if admin := cfg.Elem().FieldByName("Admin"); admin.Kind() == reflect.Pointer && !admin.IsNil() {
			if off := admin.Elem().FieldByName("Disabled"); off.Kind() == reflect.Bool && off.Bool() {
				return listen, false
			}
			if own := admin.Elem().FieldByName("Listen"); own.Kind() == reflect.String && own.String() != "" {
				text = own.String()
			}
		}
	}
	text, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
	if err != nil {
		return listen, false // then Caddy does not listen either
	}
	listen, err = caddy.ParseNetworkAddress(text)
	return listen, err == nil
}

// warnSharedUser tells of isolated pools whose user other pools run as too:
// nothing but the user keeps a process from another one.
func (a *App) warnSharedUser() {
	for name, s := range a.plans {
		if !s.Options.Isolates() {
			continue
		}
		for other, o := range a.plans {
			if other != name && s.UserID() == o.UserID() {
				a.logger.Warn("an isolated pool runs as the same user as another pool, which can read its files and end its workers: "+
					"give each a user of its own", zap.String("pool", name), zap.String("other_pool", other), zap.String("user", s.UserName()))
				break
			}
		}
	}
}

// warnSameUser tells of the pools where nothing keeps scripts from what is
// Caddy's.
func (a *App) warnSameUser() {
	var names []string
	for name, s := range a.plans {
		if s.UserID() == os.Geteuid() {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	a.logger.Warn("PHP runs as the same user as Caddy: scripts can read all that Caddy can, its TLS keys and its environment included; "+
		"to separate them run Caddy as root and write user www-data", zap.Strings("pools", names))
}
