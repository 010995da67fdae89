package poolcfg

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// discardPath makes php-cgi ignore PATH_TRANSLATED.
const discardPath = "cgi.discard_path"

// prepareINI lines up the ini settings of the processes; the last one of a name
// is in force.
func (s *Plan) prepareINI() error {
	o, admin := s.Options, map[string]string{}
	if o.Isolates() {
		admin = s.isolationINI()
	}
	maps.Copy(admin, o.AdminINI)
	for _, values := range []map[string]string{o.INI, admin} {
		// php-cgi runs PATH_TRANSLATED instead of SCRIPT_FILENAME when
		// cgi.fix_pathinfo is off (sapi/cgi/cgi_main.c, init_request_info: only
		// discard_path forbids it): GET /index.php/uploads/evil.jpg would run
		// the upload.
		if value, ok := values[discardPath]; ok && value != "1" {
			return fmt.Errorf("ini %s %s is refused: php-cgi could then run a file that was not checked; take it out",
				discardPath, value)
		}
		s.Process.INI = append(s.Process.INI, iniSettings(values)...)
	}
	s.Process.INI = append(s.Process.INI, phpbin.Setting{Name: discardPath, Value: "1"})
	if len(admin) == 0 {
		return nil
	}
	// As an ordinary setting too: some, disable_functions for one, are read at
	// the start only, and those no script can change later.
	s.Process.AdminINI = iniSettings(admin)
	var err error
	if s.Process.AdminDirs, err = phpbin.TopLevelDirs(); err != nil {
		return fmt.Errorf("admin_ini: finding the directories that scripts may lie in: %w", err)
	}
	return nil
}

func iniSettings(values map[string]string) []phpbin.Setting {
	var list []phpbin.Setting
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, phpbin.Setting{Name: name, Value: values[name]})
	}
	return list
}

// AdminINIDirs are the top-level directories for which the administrator's settings
// are in force; nil where there are none.
func (s *Plan) AdminINIDirs() *map[string]bool {
	if len(s.Process.AdminINI) == 0 {
		return nil
	}
	dirs := map[string]bool{}
	for _, dir := range s.Process.AdminDirs {
		dirs[dir] = true
	}
	return &dirs
}
