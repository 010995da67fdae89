package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// permissionError recognizes PHP's answer to a script that Caddy can see and the
// workers' user cannot: 403, with a log line that says what is missing where.
// Whether PHP can open it is for the system to say, ACLs included, so PHP is
// asked and not foretold. What had to be read of another answer is kept in
// a.prefix.
func (b *Backend) permissionError(a *response) error {
	status := a.HTTP.StatusCode
	if status != http.StatusForbidden && status != http.StatusNotFound || !a.body.Fill(fastcgi.MaxFill) {
		return nil
	}
	n := a.HTTP.ContentLength
	if n != int64(len(phpbin.AccessDenied)) && n != int64(len(phpbin.NoInputFile)) {
		return nil
	}
	var err error
	a.prefix, err = io.ReadAll(a.body)
	if text := string(a.prefix); err != nil || text != phpbin.AccessDenied && text != phpbin.NoInputFile {
		return nil
	}
	why := b.pool.missingPermission(a.stderr.script)
	if why == nil || errors.Is(why, fs.ErrNotExist) {
		return nil // PHP is right: it was there a moment ago
	}
	b.logger.Error("PHP may not read the script", zap.String("pool", b.pool.name),
		zap.String("script", a.stderr.script), zap.Error(why))
	return caddyhttp.Error(http.StatusForbidden, why)
}

// user is who the workers run as.
type unixUser struct {
	name     string
	uid, gid uint32
	groups   []uint32
}

// missingPermission looks along the path for the first thing that the workers'
// user may not do; nil if the file modes forbid nothing.
func (l *managedPool) missingPermission(path string) error {
	who := l.user()
	if who == nil || who.uid == 0 {
		return nil
	}
	if err := who.checkTraverse(path); err != nil {
		return err
	}
	return who.checkMode(path, 4, "read (r)")
}

// checkTraverse looks for the first directory above path that the user may not enter.
func (who *unixUser) checkTraverse(path string) error {
	if dir := filepath.Dir(path); dir != path {
		if err := who.checkTraverse(dir); err != nil {
			return err
		}
		return who.checkMode(dir, 1, "enter (x)")
	}
	return nil
}

// checkMode checks one permission bit, as the owner's, the group's or the others'.
func (who *unixUser) checkMode(path string, bit fs.FileMode, verb string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid, ok := fileOwner(info)
	if !ok {
		return errors.New("the owner of " + path + " is not known")
	}
	shift := 0
	switch {
	case uid == who.uid:
		shift = 6
	case gid == who.gid, slices.Contains(who.groups, gid):
		shift = 3
	}
	if info.Mode().Perm()&(bit<<shift) != 0 {
		return nil
	}
	return fmt.Errorf("user %s may not %s %s (mode %v): give it that permission, or run the pool as another user",
		who.name, verb, path, info.Mode())
}
