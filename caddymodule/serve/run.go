package serve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// start runs Caddy with a site. A signal stops it.
func start(s *site) error {
	caddy.TrapSignals()
	dir, err := s.useOwnAdmin()
	if err != nil {
		return err
	}
	if dir != "" {
		caddy.OnExit(func(context.Context) { os.RemoveAll(dir) })
	}
	err = load(s)
	for err != nil && s.anyPort && !isFree(s.listen) { // somebody else has taken the port meanwhile
		if err = s.chooseFreePort(); err == nil {
			err = load(s)
		}
	}
	if err != nil && dir != "" {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func load(s *site) error {
	text, err := s.caddyfile()
	if err != nil {
		return err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// useOwnAdmin has the admin endpoint listen on a socket in a new directory, which it
// returns, so that several sites can be served and no script can load a config. Windows
// has no such sockets for all programs, so there it stays where Caddy has it.
func (s *site) useOwnAdmin() (dir string, err error) {
	if runtime.GOOS == "windows" {
		return "", nil
	}
	dir, err = os.MkdirTemp("", "php_pool-serve-") // with the mode 0700
	if err != nil {
		return "", err
	}
	s.admin = filepath.Join(dir, "admin.sock")
	return dir, nil
}
