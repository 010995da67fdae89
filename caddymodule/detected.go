package caddymodule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// locator returns what makes the plans of one config.
func (a *App) locator() poolcfg.PHPLocator {
	return poolcfg.PHPLocator{Find: a.findCached, Detect: a.detectCached, INIFiles: a.iniFiles}
}

// findCached is phpbin.Find, called once per config for all pools with the same
// option `binary`: it reads every directory of PATH, which takes a few
// milliseconds. Errors are not cached.
func (a *App) findCached(binary string) (string, error) {
	if path, ok := a.located[binary]; ok {
		return path, nil
	}
	path, err := phpbin.Find(binary)
	if err == nil {
		a.located[binary] = path
	}
	return path, err
}

// detectCached is phpbin.Detect, called once per config for all pools that start
// php-cgi in the same way, and not at all if an earlier start of Caddy has and nothing
// has changed: it takes about 50 ms. Errors are not cached.
func (a *App) detectCached(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error) {
	key := fmt.Sprint(path, o.Args(), o.Environ(), o.Credential)
	if b := a.detected[key]; b != nil {
		return b, nil
	}
	b, err := phpbin.Memory{Dir: memoryDir()}.Detect(ctx, path, o)
	if err == nil {
		a.detected[key] = b
	}
	return b, err
}

// memoryDir returns a directory in which what was detected can be remembered, or "". No
// PHP can change it by which a pool of another user, or a confined one, would gain.
func memoryDir() string {
	data := caddy.AppDataDir()
	if !filepath.IsAbs(data) {
		return "" // there is no home directory
	}
	if os.Geteuid() != 0 {
		if ok, _ := phpbin.CanSwitchUser(); ok {
			return "" // PHP of this user could write to it, and other pools have other users
		}
		if phpbin.CheckHidden(data, []string{os.TempDir()}) != nil {
			return "" // confine cannot keep PHP from it
		}
	}
	return filepath.Join(data, "php_pool-detected") // php_pool has what isolate gives to PHP
}
