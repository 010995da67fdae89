package phpbin

import (
	"errors"
	"fmt"
	"strings"
)

// adminPrefix begins the argument that holds the sections. php-cgi uses a -d
// argument unchanged, line breaks included, if its value begins with a letter or a
// digit (sapi/cgi/cgi_main.c, case 'd'), and parses all of them as one ini file
// (main/php_ini.c, php_init_config). No extension knows a directive php_pool.
const adminPrefix = "php_pool=1\n"

// adminArg returns the -d argument with a [PATH=] section for each of AdminDirs.
//
// The settings of a section apply to scripts below that directory, and ini_set()
// and .user.ini cannot change them (php_ini_activate_per_dir sets them as
// PHP_INI_SYSTEM). An argument needs no file that could be read, changed or left
// behind, or that a later php-cgi of [Single] could miss. [PATH=/] matches
// nothing, hence all top-level directories.
//
// It must be the last -d, because what follows belongs to the last section.
func (o Options) adminArg() string {
	var b strings.Builder
	b.WriteString(adminPrefix)
	for _, dir := range o.AdminDirs {
		fmt.Fprintf(&b, "[PATH=%s]\n", quoteINI(dir))
		for _, s := range o.AdminINI {
			fmt.Fprintf(&b, "%s=%s\n", s.Name, quoteINI(s.Value))
		}
	}
	return strings.TrimSuffix(b.String(), "\n") // php-cgi adds one
}

// maxArg is the maximum length of an argument on Linux in bytes (MAX_ARG_STRLEN),
// without its NUL.
const maxArg = 128<<10 - 1

func (o Options) validateAdmin() error {
	if len(o.AdminINI) == 0 {
		return nil
	}
	if len(o.AdminDirs) == 0 {
		return errors.New("AdminINI is set, but AdminDirs is empty")
	}
	var errs []error
	for _, s := range o.AdminINI {
		errs = append(errs, s.validate())
	}
	for _, dir := range o.AdminDirs {
		if strings.ContainsRune(dir, 0) {
			errs = append(errs, fmt.Errorf("%q contains a NUL byte", dir))
		}
	}
	if n := len(o.adminArg()); n > maxArg {
		errs = append(errs, fmt.Errorf("the admin ini settings take %d bytes for %d directories, but at most %d are allowed: remove some",
			n, len(o.AdminDirs), maxArg))
	}
	return errors.Join(errs...)
}
