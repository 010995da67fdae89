package caddymodule

import (
	"bytes"
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
)

// What php-cgi answers when it cannot open a script that is there
// (sapi/cgi/cgi_main.c: php_fopen_primary_script failed). Whether it can is
// for the system to say, ACLs included, so PHP is asked and not foretold.
var (
	accessDenied = []byte("Access denied.\n")
	noInputFile  = []byte("No input file specified.\n")
)

// denied recognizes PHP's answer to a script that Caddy can see and the
// workers' user cannot: 403, with a log line that says what is missing where.
// What it had to read of another answer is kept in a.prefix.
func (b *Backend) denied(a *reply) error {
	status := a.Response.StatusCode
	if status != http.StatusForbidden && status != http.StatusNotFound || !a.body.Fill(fastcgi.MaxFill) {
		return nil
	}
	n := a.Response.ContentLength
	if n != int64(len(accessDenied)) && n != int64(len(noInputFile)) {
		return nil
	}
	text, err := io.ReadAll(a.body)
	a.prefix = text
	if err != nil || !bytes.Equal(text, accessDenied) && !bytes.Equal(text, noInputFile) {
		return nil
	}
	why := b.live.missingPermission(a.stderr.script)
	if why == nil {
		return nil
	}
	b.logger.Error("PHP may not read the script", zap.String("pool", b.live.name),
		zap.String("script", a.stderr.script), zap.Error(why))
	return caddyhttp.Error(http.StatusForbidden, why)
}

// identity is who the workers run as.
type identity struct {
	name     string
	uid, gid uint32
	groups   []uint32
}

// missingPermission looks along the path for the first thing that the workers'
// user may not do; nil if the file modes forbid nothing.
func (l *livePool) missingPermission(path string) error {
	who := l.identity()
	if who == nil || who.uid == 0 {
		return nil
	}
	if err := who.reaches(path); err != nil {
		return err
	}
	return who.may(path, 4, "read (r)")
}

// reaches looks for the first directory above path that the user may not enter.
func (who *identity) reaches(path string) error {
	if dir := filepath.Dir(path); dir != path {
		if err := who.reaches(dir); err != nil {
			return err
		}
		return who.may(dir, 1, "enter (x)")
	}
	return nil
}

// may checks one permission bit, as the owner's, the group's or the others'.
func (who *identity) may(path string, bit fs.FileMode, verb string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid, ok := owner(info)
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
