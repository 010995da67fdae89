package caddymodule

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// warnSameUser logs what the scripts of some pools can reach of Caddy, because they run
// as its user: everything, or what confine leaves open. It logs once for all pools of
// which the same is true.
func (a *App) warnSameUser() {
	if _, err := a.HTTPApp(); err != nil {
		return // there is only the FastCGI listener: nothing to read
	}
	names := map[string][]string{} // of pools, by what is true of them
	confinements := map[string]*poolcfg.Confinement{}
	for _, name := range slices.Sorted(maps.Keys(a.plans)) {
		plan := a.plans[name]
		if plan.UserID() != os.Geteuid() {
			continue
		}
		key := fmt.Sprint(plan.Confinement)
		names[key] = append(names[key], name)
		confinements[key] = plan.Confinement
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		a.describeConfinement(names[key], confinements[key])
	}
}

// describeConfinement logs what is true of some pools; c is nil if both PHP and Caddy
// are root.
func (a *App) describeConfinement(names []string, c *poolcfg.Confinement) {
	pools, off := zap.Strings("pools", names), zap.Skip()
	if c != nil && c.Off != "" {
		off = zap.String("confine", c.Off)
	}
	switch {
	case c == nil || c.Off != "":
		a.logger.Warn("PHP runs as the same user as Caddy, so scripts can read everything that Caddy can, including its TLS keys and environment; "+
			doctor.SameUserRemedy(), pools, off)
	case len(c.Gaps) > 0:
		a.logger.Warn("PHP runs as the same user as Caddy, and confine leaves gaps; close them, or "+doctor.SameUserRemedy(),
			pools, zap.Strings("gaps", c.Gaps), zap.Strings("unreachable", c.Unreachable()))
	default:
		a.logger.Info("PHP runs as the same user as Caddy, and is confined", pools, zap.Strings("unreachable", c.Unreachable()))
	}
}
