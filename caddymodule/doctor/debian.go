package doctor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// debian compares php-cgi's settings with those of the php-fpm of the same
// version. Debian and Ubuntu have a directory for each SAPI, /etc/php/8.2/cgi and
// /etc/php/8.2/fpm, so a site that moves from php-fpm loses its settings there.
func (c *check) debian() {
	own := c.binary.INIPath
	if filepath.Base(own) != "cgi" || filepath.Dir(c.binary.INIFile) != own {
		return
	}
	fpm := filepath.Join(filepath.Dir(own), "fpm")
	text, err := os.ReadFile(filepath.Join(fpm, "php.ini"))
	if err != nil {
		return // no php-fpm here
	}
	all := "write `ini_file " + filepath.Join(fpm, "php.ini") + "` and `ini_scan_dir " + filepath.Join(fpm, "conf.d") +
		"` to use php-fpm's settings"
	ownText, _ := os.ReadFile(c.binary.INIFile) // iniFiles reports an error
	if diff := differences(phpbin.ParseINI(string(text)), phpbin.ParseINI(string(ownText))); len(diff) > 0 {
		c.note(all+", or change "+c.binary.INIFile, "php-fpm's php.ini differs: %s", strings.Join(diff, ", "))
	}
	if names := onlyIn(filepath.Join(fpm, "conf.d"), filepath.Join(own, "conf.d")); len(names) > 0 {
		version := filepath.Base(filepath.Dir(own))
		c.note(fmt.Sprintf("run `phpenmod -v %s -s cgi %s`", version, strings.Join(names, " "))+", or "+all,
			"extensions enabled for php-fpm but not for php-cgi: %s", strings.Join(names, ", "))
	}
	c.fpmPools(filepath.Join(fpm, "pool.d"))
}

// differences lists the settings in which theirs (php-fpm's) differ from ours.
func differences(theirs, ours []phpbin.Setting) []string {
	values := func(list []phpbin.Setting) map[string]string {
		m := map[string]string{}
		for _, s := range list {
			m[s.Name] = s.Value
		}
		return m
	}
	a, b := values(theirs), values(ours)
	var diff []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if value, ok := b[name]; !ok {
			diff = append(diff, fmt.Sprintf("%s = %s (not set for php-cgi)", name, a[name]))
		} else if value != a[name] {
			diff = append(diff, fmt.Sprintf("%s = %s (php-cgi: %s)", name, a[name], value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			diff = append(diff, fmt.Sprintf("%s not set (php-cgi: %s)", name, b[name]))
		}
	}
	return diff
}

// orderPrefix matches the number that phpenmod puts before a name in conf.d.
var orderPrefix = regexp.MustCompile(`^\d+-`)

// onlyIn names the ini files of dir that do not exist in other.
func onlyIn(dir, other string) []string {
	names := func(dir string) map[string]bool {
		found := map[string]bool{}
		entries, _ := os.ReadDir(dir) // a missing directory has no files
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".ini"); ok {
				found[orderPrefix.ReplaceAllString(name, "")] = true
			}
		}
		return found
	}
	present := names(other)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names(dir))), func(name string) bool { return present[name] })
}

// phpValue matches a PHP setting in the file of an fpm pool.
var phpValue = regexp.MustCompile(`^php_(admin_)?(?:value|flag)\[([^\]]+)\]$`)

// fpmPools reports PHP settings in php-fpm's pool files.
func (c *check) fpmPools(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.conf"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var lines []string
		for _, s := range phpbin.ParseINI(string(text)) {
			if m := phpValue.FindStringSubmatch(s.Name); m != nil {
				lines = append(lines, "`"+m[1]+"ini "+m[2]+" "+s.Value+"`")
			}
		}
		if len(lines) > 0 {
			c.note("write "+strings.Join(lines, ", "), "php-fpm's pool file %s has PHP settings, and php-cgi does not read it", file)
		}
	}
}
