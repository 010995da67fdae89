package phpbin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// readINIFiles finds out which of o.Defaults the ini files leave alone. Only PHP
// itself knows: get_cfg_var() has what php.ini and the scanned files say, in
// force or not, and nothing of what PHP takes where they say nothing. What
// stands in their [PATH=] and [HOST=] sections is not among it, and wins over
// Options.INI as it should.
func (b *Binary) readINIFiles(ctx context.Context, o Options) error {
	// get_cfg_var() has the -d options too, so the question has none but these:
	// a file may forbid functions, and have scripts of its own run first.
	given := o.Defaults
	o.INI = slices.Concat([]Setting{
		{Name: "disable_functions"},
		{Name: "auto_prepend_file"},
		{Name: "auto_append_file"},
	}, probeINI())
	o.AdminINI, o.Defaults = nil, nil
	stdout, stderr, err := o.run(ctx, iniFilesScript(given), "-q")
	if err != nil {
		return probeError(ctx, o.Binary, "", stderr, err)
	}
	values, err := parseINIFilesAnswer(stdout, given)
	if err != nil {
		return fmt.Errorf("asking %s what its ini files set: %w: it says %s", o.Binary, err, firstLine(stdout, stderr))
	}
	b.INIValues = values
	for _, s := range given {
		if _, ok := values[s.Name]; !ok {
			b.Defaults = append(b.Defaults, s)
		}
	}
	return nil
}

const (
	iniFilesMark = "php_pool asks:"
	iniFilesEnd  = "that is all"
)

// iniFilesScript writes a line for each directive that an ini file sets. It has
// to run in every PHP from 7.0 on.
func iniFilesScript(list []Setting) string {
	var names []string
	for _, s := range list {
		names = append(names, "'"+s.Name+"'") // none has a quote in it: see Setting.validate
	}
	return `<?php
echo "\n` + iniFilesMark + `\n";
foreach ([` + strings.Join(names, ", ") + `] as $name) {
    $value = get_cfg_var($name);
    if ($value !== false) {
        echo $name, '=', is_array($value) ? '' : rawurlencode($value), "\n";
    }
}
echo "` + iniFilesEnd + `\n";
`
}

// parseINIFilesAnswer reads what the script wrote.
func parseINIFilesAnswer(stdout string, asked []Setting) (map[string]string, error) {
	_, answer, ok := strings.Cut(stdout, "\n"+iniFilesMark+"\n")
	if !ok {
		return nil, errors.New("it did not run the question")
	}
	answer, _, ok = strings.Cut(answer, iniFilesEnd+"\n")
	if !ok {
		return nil, errors.New("the answer has no end")
	}
	values := map[string]string{}
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !slices.ContainsFunc(asked, func(s Setting) bool { return s.Name == name }) {
			return nil, fmt.Errorf("it was not asked for %q", name)
		}
		text, err := url.PathUnescape(value)
		if err != nil {
			return nil, err
		}
		values[name] = text
	}
	return values, nil
}
