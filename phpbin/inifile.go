package phpbin

import "strings"

// ParseINI reads the settings of an ini file well enough to compare two files: it
// removes quotes and comments, and evaluates no expressions. It skips the
// sections [PATH=] and [HOST=], which apply to some scripts only; PHP ignores all
// other section headings (main/php_ini.c).
func ParseINI(text string) []Setting {
	var list []Setting
	special := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			upper := strings.ToUpper(line)
			special = strings.HasPrefix(upper, "[PATH=") || strings.HasPrefix(upper, "[HOST=")
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if special || !ok || line[0] == ';' || line[0] == '#' {
			continue
		}
		list = append(list, Setting{strings.TrimSpace(name), plainValue(value)})
	}
	return list
}

// plainValue returns a value without quotes and without a comment behind it.
func plainValue(value string) string {
	value = strings.TrimSpace(value)
	if len(value) > 0 && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : 1+end]
		}
	}
	value, _, _ = strings.Cut(value, ";")
	return strings.TrimSpace(value)
}
