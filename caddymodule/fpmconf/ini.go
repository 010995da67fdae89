package fpmconf

import (
	"path"
	"slices"
	"strings"
)

// paths are the settings of PHP whose value php-fpm takes for a path below its prefix
// (FPM_PHP_INI_TO_EXPAND in sapi/fpm/fpm/fpm_conf.h).
var paths = strings.Fields(`error_log extension_dir mime_magic.magicfile sendmail_path session.cookie_path
	session_pgsql.sem_file_name soap.wsdl_cache_dir uploadprogress.file.filename_template xdebug.output_dir
	xdebug.profiler_output_dir xdebug.trace_output_dir xmms.path axis2.client_home blenc.key_file coin_acceptor.device`)

// phpLists are the settings of PHP to which php-fpm adds each line.
var phpLists = []string{"disable_functions", "disable_classes"}

// ini converts php_value, php_flag, php_admin_value and php_admin_flag.
func (c *converter) ini(b *block, s *Setting, v *view) {
	option, value := arrays[s.Name], s.Value
	if strings.HasSuffix(s.Name, "_flag") {
		on, ok := parseBool(value)
		if !ok {
			c.lose(b, s, "it is neither on nor off")
			return
		}
		if value = "0"; on {
			value = "1"
		}
	}
	switch {
	case slices.Contains(phpLists, s.Key):
		return // lists adds them
	case s.Key == "extension":
		c.extension(b, s)
		return
	case slices.Contains(paths, s.Key) && value != "" && value[0] != '/':
		prefix := c.prefixOf(v)
		if prefix == "" && len(debian(s.File)) > 0 {
			prefix = "/usr"
		}
		if prefix == "" || prefix[0] != '/' {
			c.lose(b, s, "php-fpm puts its prefix before it: write the whole path")
			return
		}
		value = path.Clean(prefix) + "/" + value
	}
	if s.Key == "error_log" {
		c.comment(b, s, "kept; without it the errors of PHP would be in Caddy's log, with the request")
	}
	written, ok := token(value)
	c.pair(b, s, option, written, ok)
}

// extension converts php_value[extension], of which php-fpm loads each one.
func (c *converter) extension(b *block, s *Setting) {
	if slices.ContainsFunc(b.options, func(o string) bool { return strings.HasPrefix(o, "ini extension ") }) {
		c.lose(b, s, "ini extension can be written once: load it in an ini file")
		return
	}
	value, ok := token(s.Value)
	c.pair(b, s, "ini", value, ok)
}

// lists adds the lists of all lines and of php.ini: php-fpm adds its own to those of
// php.ini, and the option ini replaces them.
func (c *converter) lists(b *block, v *view) {
	for _, key := range phpLists {
		var names []string
		var last *Setting
		for i := range v.settings {
			s := &v.settings[i]
			if s.err == nil && s.Key == key && strings.Contains(s.Name, "value") {
				names = append(names, splitList(s.Value)...)
				last = s
			}
		}
		if last == nil {
			continue
		}
		names = append(names, c.inPHPINI(b, last, v, key)...)
		slices.Sort(names)
		value, ok := token(strings.Join(slices.Compact(names), ","))
		c.pair(b, last, "admin_ini", value, ok)
	}
}

// inPHPINI returns the list that the ini files of PHP have.
func (c *converter) inPHPINI(b *block, s *Setting, v *view, key string) []string {
	if c.serving != nil {
		return c.inServedINI(b, s, v, key)
	}
	options := debian(s.File)
	if options == nil {
		c.comment(b, s, "php-fpm adds it to "+key+" of php.ini, which this replaces: add what is there")
		return nil
	}
	file := strings.TrimPrefix(options[1], "ini_file ")
	list, _, err := c.listIn(file, key)
	if err != nil {
		c.comment(b, s, "php-fpm adds it to "+key+" of php.ini, which this replaces: add what is in "+file)
	}
	return list
}

// inServedINI returns the list of the ini files that php-cgi reads, or of -d.
func (c *converter) inServedINI(b *block, s *Setting, v *view, key string) []string {
	var found []string
	files, err := c.serving.INIFiles(c.php(v))
	for _, file := range files {
		list, ok, readErr := c.listIn(file, key)
		if readErr != nil {
			err = readErr
		}
		if ok {
			found = list
		}
	}
	if err != nil {
		c.lose(b, s, "php-fpm adds it to "+key+" of the ini files, which cannot be read: "+err.Error())
	}
	for _, pair := range c.serving.INI {
		if pair[0] == key {
			found = splitList(pair[1])
		}
	}
	return found
}

// listIn returns the list that an ini file has, and whether it has one.
func (c *converter) listIn(file, key string) (list []string, ok bool, err error) {
	text, err := c.config.source.ReadFile(file)
	if err != nil {
		return nil, false, err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		name, right, isSetting := strings.Cut(line, "=")
		if isSetting && strings.TrimSpace(name) == key {
			if parsed, err := parseValue(strings.TrimRight(right, "\r")); err == nil && !strings.Contains(parsed, mark) {
				list, ok = splitList(parsed), true
			}
		}
	}
	return list, ok, nil
}

func splitList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t", r) })
}
