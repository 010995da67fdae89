package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddypki"
)

// secretFiles returns the files with keys and passwords that a config names, and the
// directories of file storages, as far as the config is still text: Caddy drops that of
// an app once it has loaded it. The app http, which loads this one, has it still.
func (a *App) secretFiles() []string {
	var list []string
	add := func(text []byte) {
		var v any
		if json.Unmarshal(text, &v) == nil {
			list = append(list, secretFilesIn(v)...)
		}
	}
	if a.dryConfig != nil {
		add(a.dryConfig)
		return list
	}
	if !hasConfig(a.ctx) {
		return nil
	}
	apps := reflect.ValueOf(a.ctx).FieldByName("cfg").Elem().FieldByName("AppsRaw")
	for _, name := range apps.MapKeys() {
		add(apps.MapIndex(name).Bytes())
	}
	return append(list, authorityFiles(a.ctx)...)
}

// keyNames are the names that modules of Caddy have for files with a key.
var keyNames = []string{"key", "private_key", "client_certificate_key_file"}

// fileContent matches a placeholder that becomes the content of a file.
var fileContent = regexp.MustCompile(`\{file\.([^{}]+)\}`)

// secretFilesIn returns what a decoded JSON value names.
func secretFilesIn(v any) []string {
	var list []string
	switch v := v.(type) {
	case string:
		for _, m := range fileContent.FindAllStringSubmatch(v, -1) {
			list = append(list, m[1])
		}
	case []any:
		for _, item := range v {
			list = append(list, secretFilesIn(item)...)
		}
	case map[string]any:
		if root, ok := v["root"].(string); ok && v["module"] == "file_system" {
			list = append(list, storageDirs(root)...)
		}
		for name, item := range v {
			text, ok := item.(string)
			if !ok || !slices.Contains(keyNames, name) {
				list = append(list, secretFilesIn(item)...)
				continue
			}
			path := caddy.NewReplacer().ReplaceKnown(text, "")
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				list = append(list, path)
			}
		}
	}
	return list
}

// storageDirs returns where a file storage has keys. Its root may contain other files,
// even the sites.
func storageDirs(root string) []string {
	var list []string
	for _, name := range []string{"acme", "certificates", "keys", "ocsp", "pki"} {
		list = append(list, filepath.Join(root, name))
	}
	return list
}

// authorityFiles returns the key files and storages of the certificate authorities of
// the app pki.
func authorityFiles(ctx caddy.Context) []string {
	app, err := ctx.AppIfConfigured("pki")
	if err != nil {
		return nil
	}
	pki, ok := app.(*caddypki.PKI)
	if !ok {
		return nil
	}
	var list []string
	for _, ca := range pki.CAs {
		for _, pair := range []*caddypki.KeyPair{ca.Root, ca.Intermediate} {
			if pair != nil && pair.PrivateKey != "" {
				list = append(list, pair.PrivateKey)
			}
		}
		list = append(list, ownStorage(ctx, reflect.ValueOf(ca).Elem())...)
	}
	return list
}

// ownStorage returns the directories of the file storage that a struct of Caddy has in
// its field storage, unless it is the default one.
func ownStorage(ctx caddy.Context, owner reflect.Value) []string {
	storage := owner.FieldByName("storage")
	if !storage.IsValid() || storage.IsNil() || storage.Elem().Type() != reflect.TypeOf(caddy.DefaultStorage) {
		return nil
	}
	root := storage.Elem().Elem().FieldByName("Path").String()
	if main, ok := sameType(caddy.DefaultStorage, ctx.Storage()); ok && main.Path == root || root == caddy.AppDataDir() {
		return nil
	}
	return storageDirs(root)
}
