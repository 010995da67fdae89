package poolcfg

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// discardPath is the directive that makes php-cgi ignore PATH_TRANSLATED.
const discardPath = "cgi.discard_path"

// prepareINI fills in the ini settings of the processes. If a directive has several
// values, PHP uses the last one.
func (p *Plan) prepareINI() error {
	o, admin := p.Options, map[string]string{}
	if o.Isolates() {
		admin = p.isolationINI()
	}
	maps.Copy(admin, o.AdminINI)
	admin = o.releaseINI(admin)
	for _, values := range []map[string]string{o.releaseINI(o.INI), admin} {
		// With cgi.fix_pathinfo off, php-cgi runs PATH_TRANSLATED instead of
		// SCRIPT_FILENAME unless discard_path is on (init_request_info in
		// sapi/cgi/cgi_main.c): GET /index.php/uploads/evil.jpg would run the
		// upload.
		if value, ok := values[discardPath]; ok && value != "1" {
			return fmt.Errorf("ini %s %s is not allowed: php-cgi could run a file that was not checked; remove it",
				discardPath, value)
		}
		p.Process.INI = append(p.Process.INI, iniSettings(values)...)
	}
	p.Process.INI = append(p.Process.INI, phpbin.Setting{Name: discardPath, Value: "1"})
	if len(admin) == 0 {
		return nil
	}
	// They are ordinary settings too (see above), because PHP reads some directives
	// at its start only, such as disable_functions; scripts cannot change those.
	p.Process.AdminINI = iniSettings(admin)
	var err error
	if p.Process.AdminDirs, err = phpbin.TopLevelDirs(); err != nil {
		return fmt.Errorf("admin_ini: listing the top-level directories: %w", err)
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

// UnknownINI returns the settings of the options ini and admin_ini for which PHP has
// no directive.
func (p *Plan) UnknownINI() []phpbin.UnknownSetting {
	var list []phpbin.UnknownSetting
	for _, s := range p.Binary.UnknownINI {
		_, plain := p.Options.INI[s.Name]
		_, admin := p.Options.AdminINI[s.Name]
		if plain || admin { // and not only one of isolate, which may be for an extension that is not loaded
			list = append(list, s)
		}
	}
	return list
}

// UnknownReason says what is wrong with a setting. It is not an error, because
// get_cfg_var() sees any setting.
func UnknownReason(s phpbin.UnknownSetting) string {
	if s.Similar != "" {
		return "did you mean " + s.Similar + "?"
	}
	return "only get_cfg_var() can read it"
}

// AdminINIDirs returns the top-level directories whose scripts the settings of
// admin_ini apply to; nil if there are no such settings.
func (p *Plan) AdminINIDirs() *map[string]bool {
	if len(p.Process.AdminINI) == 0 {
		return nil
	}
	dirs := map[string]bool{}
	for _, dir := range p.Process.AdminDirs {
		dirs[dir] = true
	}
	return &dirs
}
