package serve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// defaultAdminPort is that of caddy.DefaultAdminListen.
const defaultAdminPort = 2019

// start runs Caddy with a site. A signal stops it.
func start(s *site) error {
	caddy.TrapSignals()
	if err := setEnv(s.env); err != nil {
		return err
	}
	dir, err := s.chooseAdmin()
	if err != nil {
		return err
	}
	if dir != "" {
		caddy.OnExit(func(context.Context) { os.RemoveAll(dir) })
	}
	err = load(s)
	for err != nil && s.othersTookPort() {
		if err = s.chooseFreePorts(); err == nil {
			err = load(s)
		}
	}
	if err != nil && dir != "" {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// othersTookPort reports whether a port that was free is not free any more.
func (s *site) othersTookPort() bool {
	return s.anyPort && !isFree(s.listen) || s.anyAdminPort && !isFree(s.admin)
}

func (s *site) chooseFreePorts() error {
	if s.anyPort {
		if err := s.chooseFreePort(); err != nil {
			return err
		}
	}
	if s.anyAdminPort {
		return s.chooseAdminPort()
	}
	return nil
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

// chooseAdmin chooses the address of the admin endpoint, so that several sites can be
// served and no script can load a config. A script of Caddy's own user can open a socket
// of that user, but no TCP port that the kernel closes to it (the option confine). Else
// the endpoint is a socket in a new directory, which chooseAdmin returns.
func (s *site) chooseAdmin() (dir string, err error) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 && phpbin.DetectConfinement().Ports {
		return "", s.chooseAdminPort()
	}
	dir, err = os.MkdirTemp("", "php_pool-serve-") // with the mode 0700
	if err != nil {
		return "", err
	}
	s.admin = "unix/" + filepath.Join(dir, "admin.sock")
	return dir, nil
}

// chooseAdminPort sets admin to Caddy's default address, or to the next port that is
// free.
func (s *site) chooseAdminPort() (err error) {
	s.anyAdminPort = true
	s.admin, err = s.freePort("localhost", defaultAdminPort)
	return err
}
