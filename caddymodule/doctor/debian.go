package doctor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// debian compares php-cgi's settings with those of a php-fpm beside it. Debian
// and Ubuntu give each SAPI a directory of its own, /etc/php/8.2/cgi and
// /etc/php/8.2/fpm, so a site that moves from php-fpm loses what was set there.
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
		"` to have php-fpm's settings"
	ownText, _ := os.ReadFile(c.binary.INIFile) // files tells
	if diff := differences(parseINI(string(text)), parseINI(string(ownText))); len(diff) > 0 {
		c.note(all+", or change "+c.binary.INIFile, "php-fpm's php.ini differs: %s", strings.Join(diff, ", "))
	}
	if names := onlyIn(filepath.Join(fpm, "conf.d"), filepath.Join(own, "conf.d")); len(names) > 0 {
		version := filepath.Base(filepath.Dir(own))
		c.note(fmt.Sprintf("run `phpenmod -v %s -s cgi %s`", version, strings.Join(names, " "))+", or "+all,
			"enabled for php-fpm and not for php-cgi: %s", strings.Join(names, ", "))
	}
	c.fpmPools(filepath.Join(fpm, "pool.d"))
}

// differences lists what the first has and the second has not, or otherwise.
func differences(theirs, ours []iniSetting) []string {
	values := func(list []iniSetting) map[string]string {
		m := map[string]string{}
		for _, s := range list {
			m[s.name] = s.value
		}
		return m
	}
	a, b := values(theirs), values(ours)
	var diff []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if value, ok := b[name]; !ok {
			diff = append(diff, fmt.Sprintf("%s = %s (here not set)", name, a[name]))
		} else if value != a[name] {
			diff = append(diff, fmt.Sprintf("%s = %s (here %s)", name, a[name], value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			diff = append(diff, fmt.Sprintf("%s not set (here %s)", name, b[name]))
		}
	}
	return diff
}

// orderPrefix is what phpenmod puts before a name in conf.d.
var orderPrefix = regexp.MustCompile(`^\d+-`)

// onlyIn names the ini files that one directory has and another has not.
func onlyIn(dir, other string) []string {
	names := func(dir string) map[string]bool {
		found := map[string]bool{}
		entries, _ := os.ReadDir(dir) // one that is not there has none
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".ini"); ok {
				found[orderPrefix.ReplaceAllString(name, "")] = true
			}
		}
		return found
	}
	there := names(other)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names(dir))), func(name string) bool { return there[name] })
}

// phpValue is a PHP setting in the file of an fpm pool.
var phpValue = regexp.MustCompile(`^php(?:_admin)?_(?:value|flag)\[([^\]]+)\]$`)

// fpmPools names PHP settings that stand in php-fpm's pool files.
func (c *check) fpmPools(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.conf"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var lines []string
		for _, s := range parseINI(string(text)) {
			if m := phpValue.FindStringSubmatch(s.name); m != nil {
				lines = append(lines, "`ini "+m[1]+" "+s.value+"`")
			}
		}
		if len(lines) > 0 {
			c.note("write "+strings.Join(lines, ", "), "php-fpm's pool file %s has PHP settings, which php-cgi does not read", file)
		}
	}
}
