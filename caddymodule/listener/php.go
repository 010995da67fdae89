package listener

import "github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"

// phpSettings has the settings of the pool's PHP that the listener reads.
type phpSettings struct {
	plan        *poolcfg.Plan // from which they are
	fixPathInfo bool          // cgi.fix_pathinfo
	discardPath bool          // cgi.discard_path, as the options have it
	decodesPath bool          // php-fpm 8.5 decodes the path that Apache httpd sends
}

// php returns the settings of the pool's PHP.
func (l *Listener) php() *phpSettings {
	plan, _ := l.pool.Active()
	known := l.settings.Load()
	if known != nil && known.plan == plan {
		return known
	}
	s := &phpSettings{plan: plan, fixPathInfo: true}
	if plan != nil {
		if value, ok := plan.Binary.Setting("cgi.fix_pathinfo"); ok {
			s.fixPathInfo = value != "0" && value != "Off"
		}
		_, plain := plan.Options.INI[discardPath]
		_, admin := plan.Options.AdminINI[discardPath]
		s.discardPath = plain || admin // then it is 1
		s.decodesPath = plan.Binary.Version.AtLeast(8, 5)
	}
	l.settings.Store(s)
	return s
}

const discardPath = "cgi.discard_path"
