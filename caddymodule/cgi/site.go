package cgi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Site is the part of a handler's configuration that determines which file serves a
// request and which variables PHP gets. Call Provision before any other method.
type Site struct {
	// Root is the directory of the scripts; it may have placeholders. Default:
	// {http.vars.root}, else the current directory.
	Root string
	// SplitPath lists the extensions of scripts. Default: .php.
	SplitPath []string
	// Env has variables for PHP in addition to those of CGI; their values may have
	// placeholders.
	Env map[string]string
	// ResolveRootSymlink resolves symlinks in the root, once per request.
	ResolveRootSymlink bool
	// ConfineSymlinks rejects scripts that a symlink leads out of the root, or to a
	// file without an allowed extension.
	ConfineSymlinks bool
	// TrustForwarded uses the X-Forwarded-* headers of trusted proxies for the variables
	// about the connection.
	TrustForwarded bool

	splits    splitter
	envs      []envVar // Env without SCRIPT_FILENAME, sorted by name
	constants []byte   // encoded variables that are the same for all requests
}

// envVar is one entry of Env.
type envVar struct{ name, value string }

// Provision fills in defaults and checks the extensions in SplitPath and the names in
// Env; the error names the option.
func (site *Site) Provision() error {
	if site.Root == "" {
		site.Root = defaultRoot
	}
	if len(site.SplitPath) == 0 {
		site.SplitPath = []string{".php"}
	}
	var err error
	if site.splits, err = newSplitter(site.SplitPath); err != nil {
		return fmt.Errorf("split %q: %w", site.SplitPath, err)
	}
	site.envs = nil
	for _, name := range slices.Sorted(maps.Keys(site.Env)) {
		if err := CheckEnv(name); err != nil {
			return err
		}
		if name != "SCRIPT_FILENAME" {
			site.envs = append(site.envs, envVar{name, site.Env[name]})
		}
	}
	site.constants, err = constantParams()
	return err
}

// IsScript reports whether a path names a script, by its extension.
func (site *Site) IsScript(path string) bool { return site.splits.hasScriptExt(path) }

// IsSensitive reports whether a path that is not a script names a file that should
// not be public, such as a backup of a script. path must be clean ([CleanPath]).
func (site *Site) IsSensitive(path string) bool { return site.splits.isSensitive(path) }

// CheckEnv returns an error if a variable must not be configured, because it has no
// effect or makes PHP run another file. The error names the variable and the remedy.
func CheckEnv(name string) error {
	switch name {
	case "PHP_VALUE", "PHP_ADMIN_VALUE":
		option := "ini"
		if name == "PHP_ADMIN_VALUE" {
			option = "admin_ini"
		}
		return fmt.Errorf("env %s has no effect: only php-fpm reads it; write `%s <directive> <value>` instead", name, option)
	case "REDIRECT_URL", "PATH_TRANSLATED":
		return fmt.Errorf("env %s is not allowed: php-cgi would run the file in PATH_TRANSLATED "+
			"instead of the script that was checked; remove it", name)
	case "CONTENT_LENGTH":
		return errors.New("env CONTENT_LENGTH is not allowed: it must be the length of the body " +
			"that is sent to PHP; remove it")
	case "":
		return errors.New("env needs a name: write `env <name> <value>`")
	}
	return nil
}
