package phpbin

import (
	"errors"
	"fmt"
	"strings"
)

// adminPrefix begins the argument that holds the sections. php-cgi takes an
// argument of -d over as it stands, line breaks included, when its value begins
// with a letter or a digit (sapi/cgi/cgi_main.c, case 'd'), and reads all of
// them as one ini file, by the parser that php.ini is read by (main/php_ini.c,
// php_init_config). The directive itself is nobody's.
const adminPrefix = "php_pool=1\n"

// adminArg is the -d argument with a [PATH=] section for each of AdminDirs.
//
// What stands in one is in force for the scripts below that directory, and final:
// ini_set() and .user.ini are refused (php_ini_activate_per_dir sets it as
// PHP_INI_SYSTEM). That takes no file, so there is none for anybody to read, to
// change or to leave behind, and none that a later php-cgi of [Single] could
// miss. [PATH=/] matches nothing, hence all top-level directories.
//
// It has to be the last -d: what follows would belong to the last section.
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

// maxArg is how many bytes one argument may have on Linux (MAX_ARG_STRLEN), with
// its NUL.
const maxArg = 128<<10 - 1

func (o Options) validateAdmin() error {
	if len(o.AdminINI) == 0 {
		return nil
	}
	if len(o.AdminDirs) == 0 {
		return errors.New("no directory is given for which the ini settings of the administrator are in force")
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
		errs = append(errs, fmt.Errorf("the ini settings of the administrator take %d bytes for %d directories, and the system allows %d",
			n, len(o.AdminDirs), maxArg))
	}
	return errors.Join(errs...)
}
