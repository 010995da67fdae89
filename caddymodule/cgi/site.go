package cgi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Site is the part of a handler's configuration that decides which file serves a
// request and which variables PHP gets.
type Site struct {
	// Root is the root directory, perhaps with placeholders.
	Root string
	// SplitPath lists the extensions of scripts, as configured.
	SplitPath []string
	// Env holds variables for PHP beside those of CGI, with placeholders.
	Env map[string]string
	// ResolveRootSymlink makes every request see the root with its symlinks
	// followed.
	ResolveRootSymlink bool
	// ConfineSymlinks refuses scripts that a symlink leads out of the root.
	ConfineSymlinks bool

	splits    splitter
	envs      []envVar // Env but SCRIPT_FILENAME, sorted by name
	constants []byte   // encoded variables that are the same for all requests
}

// envVar is one entry of Env.
type envVar struct{ name, value string }

// Provision fills in defaults and prepares what every request needs.
func (s *Site) Provision() error {
	if s.Root == "" {
		s.Root = siteRoot
	}
	if len(s.SplitPath) == 0 {
		s.SplitPath = []string{".php"}
	}
	var err error
	if s.splits, err = newSplitter(s.SplitPath); err != nil {
		return fmt.Errorf("split %q: %w", s.SplitPath, err)
	}
	s.envs = nil
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if err := CheckEnv(name); err != nil {
			return err
		}
		if name != "SCRIPT_FILENAME" {
			s.envs = append(s.envs, envVar{name, s.Env[name]})
		}
	}
	s.constants, err = constantParams()
	return err
}

// IsScript reports whether a path names a script, by its extension.
func (s *Site) IsScript(path string) bool { return s.splits.hasScriptExt(path) }

// IsSensitive reports whether a path that names no script should not be served
// as a file either.
func (s *Site) IsSensitive(path string) bool { return s.splits.isSensitive(path) }

// CheckEnv refuses variables that do harm or nothing.
func CheckEnv(name string) error {
	switch name {
	case "PHP_VALUE", "PHP_ADMIN_VALUE":
		option := "ini"
		if name == "PHP_ADMIN_VALUE" {
			option = "admin_ini"
		}
		return fmt.Errorf("env %s does nothing here: only php-fpm reads it; write `%s <directive> <value>` instead", name, option)
	case "REDIRECT_URL", "PATH_TRANSLATED":
		return fmt.Errorf("env %s is refused: php-cgi would run the file that PATH_TRANSLATED names "+
			"instead of the script that was checked; leave it out", name)
	case "CONTENT_LENGTH":
		return errors.New("env CONTENT_LENGTH is refused: it has to be the length of the body " +
			"that is really sent; leave it out")
	case "":
		return errors.New("env needs a name: write `env <name> <value>`")
	}
	return nil
}
