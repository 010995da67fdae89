package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// secrets returns what the option confine keeps from PHP that runs as Caddy's own user.
func (a *App) secrets() *poolcfg.Secrets {
	if a.secret != nil {
		return a.secret
	}
	s := &poolcfg.Secrets{}
	paths := []string{caddy.AppDataDir(), caddy.AppConfigDir(), os.Getenv("CREDENTIALS_DIRECTORY")}
	paths = append(paths, storagePaths(a.ctx)...)
	paths = append(paths, a.secretFiles()...) // before the app tls is loaded, if it is not
	paths = append(paths, keyFiles(a.ctx)...)
	for _, path := range paths {
		if path == "" {
			continue
		}
		if abs, err := filepath.Abs(path); err == nil && !slices.Contains(s.Paths, abs) {
			s.Paths = append(s.Paths, abs)
		}
	}
	if listen, enabled := a.adminListen(); enabled {
		s.Admin = listen.String()
		s.Abstract = listen.IsUnixNetwork() && strings.HasPrefix(listen.Host, "@")
		if !listen.IsUnixNetwork() && !listen.IsFdNetwork() {
			s.Port = uint16(listen.StartPort)
		}
	}
	a.secret = s
	return s
}

// hasConfig reports whether a context belongs to a config: that of `caddy php-pool
// doctor` does not.
func hasConfig(ctx caddy.Context) bool {
	cfg := reflect.ValueOf(ctx).FieldByName("cfg")
	return cfg.Kind() == reflect.Pointer && !cfg.IsNil()
}

// storagePaths returns the directories of a file storage that is not the default one.
func storagePaths(ctx caddy.Context) []string {
	if !hasConfig(ctx) {
		return nil
	}
	storage, ok := sameType(caddy.DefaultStorage, ctx.Storage())
	if !ok || storage.Path == caddy.AppDataDir() {
		return nil
	}
	return storageDirs(storage.Path)
}

// sameType returns v if it has the type of sample, which need not be imported.
func sameType[T any](_ T, v any) (T, bool) {
	same, ok := v.(T)
	return same, ok
}

// adminListen returns the address of the admin endpoint, and whether it is enabled.
func (a *App) adminListen() (caddy.NetworkAddress, bool) {
	if a.dryConfig == nil {
		return adminListen(a.ctx)
	}
	var config struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if json.Unmarshal(a.dryConfig, &config) != nil || config.Admin.Disabled {
		return caddy.NetworkAddress{}, false
	}
	return parseAdminListen(config.Admin.Listen)
}

// keyFiles returns the files and directories with keys that the app tls loads, and the
// storages of its policies. Caddy does not export them (2.11: certificateLoaders of
// caddytls.TLS), so they are read by reflection. If another version of Caddy has them
// elsewhere, a test fails.
func keyFiles(ctx caddy.Context) []string {
	if !hasConfig(ctx) {
		return nil
	}
	app, err := ctx.AppIfConfigured("tls")
	if err != nil {
		return nil
	}
	tls, ok := app.(*caddytls.TLS)
	if !ok {
		return nil
	}
	var list []string
	if tls.Automation != nil {
		for _, policy := range tls.Automation.Policies {
			list = append(list, ownStorage(ctx, reflect.ValueOf(policy).Elem())...)
		}
	}
	loaders := reflect.ValueOf(tls).Elem().FieldByName("certificateLoaders")
	if loaders.Kind() != reflect.Slice {
		return list
	}
	for i := range loaders.Len() {
		loader := reflect.Indirect(loaders.Index(i).Elem())
		if loader.Kind() != reflect.Slice {
			continue
		}
		for j := range loader.Len() {
			switch entry := loader.Index(j); {
			case loader.Type() == reflect.TypeFor[caddytls.FileLoader]():
				list = append(list, entry.FieldByName("Key").String())
			case loader.Type() == reflect.TypeFor[caddytls.FolderLoader]():
				list = append(list, entry.String())
			}
		}
	}
	return list
}
