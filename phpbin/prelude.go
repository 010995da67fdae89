package phpbin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The directives that load a [Prelude].
const (
	// Preload loads it once, before the workers are forked or serve: PHP 7.4, on Unix,
	// with OPcache. It costs nothing later.
	Preload = "opcache.preload"

	// Prepend loads it before each script, which takes some 15 µs.
	Prepend = "auto_prepend_file"
)

const preludeName = "functions.php"

// Prelude is PHP code that is loaded before the scripts.
type Prelude struct {
	// Source is the code. Only the user of php-cgi can read it, unless Public is set: PHP
	// that runs as root reads a Preload as opcache.preload_user.
	Source string
	Public bool

	// Directive is Preload or Prepend.
	Directive string
}

// writePrelude writes the prelude to a file in its own directory, and adds the
// directive that loads it to the options. The caller removes the directory, which is
// "" if there is no prelude, when php-cgi does not read it any more.
func (o *Options) writePrelude() (dir string, err error) {
	if o.Prelude.Source == "" {
		return "", nil
	}
	if dir, err = os.MkdirTemp(o.RuntimeDir, dirPrefix+ownTag()); err != nil {
		return "", fmt.Errorf("creating a directory for the functions that php-cgi lacks: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
			dir, err = "", fmt.Errorf("writing the functions that php-cgi lacks: %w", err)
		}
	}()
	path, err := filepath.Abs(filepath.Join(dir, preludeName))
	if err != nil {
		return dir, err
	}
	if err := os.WriteFile(path, []byte(o.Prelude.Source), 0o400); err != nil {
		return dir, err
	}
	if o.Prelude.Public {
		if err := errors.Join(os.Chmod(dir, 0o711), os.Chmod(path, 0o444)); err != nil { //nolint:gosec // see Prelude
			return dir, err
		}
	} else if c := o.Credential; c != nil {
		if err := os.Chown(path, int(c.UID), int(c.GID)); err != nil {
			return dir, err
		}
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // others may enter, and read nothing
			return dir, err
		}
	}
	o.INI = append(slices.Clip(o.INI), Setting{Name: o.Prelude.Directive, Value: path})
	return dir, nil
}
