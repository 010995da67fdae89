package phpbin

import (
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
	c := o.Credential
	if o.Prelude.Public {
		err = os.Chmod(path, 0o444) //nolint:gosec // see Prelude
	} else if c != nil {
		err = Grant(path, c)
	}
	if err == nil && (o.Prelude.Public || c != nil) {
		err = os.Chmod(dir, 0o711) //nolint:gosec // others may enter, not list it
	}
	if err != nil {
		return dir, err
	}
	if o.Prelude.Directive == Prepend {
		allowDir(&o.INI, filepath.Dir(path))
		allowDir(&o.AdminINI, filepath.Dir(path))
	}
	o.INI = append(slices.Clip(o.INI), Setting{Name: o.Prelude.Directive, Value: path})
	return dir, nil
}

// allowDir adds dir to open_basedir, if that is set: a script that is prepended is opened
// like any other.
func allowDir(ini *[]Setting, dir string) {
	*ini = slices.Clone(*ini)
	for i := range *ini {
		if s := &(*ini)[i]; s.Name == "open_basedir" && s.Value != "" {
			s.Value += string(filepath.ListSeparator) + dir
		}
	}
}
