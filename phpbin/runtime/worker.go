package phpruntime

import (
	"embed"
	"regexp"
	"slices"
	"strings"
)

//go:embed worker/*.php
var workerFiles embed.FS

// workerOrder are the files in the order in which PHP gets them: boot.php comes last.
var workerOrder = []string{"ini", "variables", "connection", "request", "body", "multipart", "output", "session", "error", "worker", "functions", "boot"}

// Worker says how to load what runs a worker script.
type Worker struct {
	// Mark begins each signal to php_pool: see fastcgi.Request.SignalMark.
	Mark string

	// Disabled are the functions that the user has disabled.
	Disabled []string

	// Prepend is the auto_prepend_file of the user, which Source loads as well; may be
	// empty.
	Prepend string
}

// Source returns the PHP, for auto_prepend_file. It needs PHP 8.0.
func (w *Worker) Source() string {
	var b strings.Builder
	b.WriteString("<?php\n")
	for _, name := range workerOrder {
		source, err := workerFiles.ReadFile("worker/" + name + ".php")
		if err != nil {
			panic(err) // it is embedded
		}
		text := strings.TrimPrefix(string(source), "<?php\n")
		if name == "functions" {
			text = functionText.ReplaceAllStringFunc(text, func(text string) string {
				if slices.Contains(w.Disabled, functionText.FindStringSubmatch(text)[1]) {
					return ""
				}
				return text
			})
		}
		b.WriteString(strings.ReplaceAll(text, "@MARK@", w.Mark))
	}
	if w.Prepend != "" {
		b.WriteString("\nrequire " + quote(w.Prepend) + ";\n")
	}
	return b.String()
}

// functionText matches a function of functions.php, perhaps with a condition.
var functionText = regexp.MustCompile(`(?ms)^(?:if \([^\n]*\) \{\n    )?function (\w+)\(.*?^}\n`)

// replaced returns the functions of PHP that Source defines again. They must be in
// disable_functions.
func replaced() []string {
	source, err := workerFiles.ReadFile("worker/functions.php")
	if err != nil {
		panic(err) // it is embedded
	}
	var names []string
	for _, m := range functionText.FindAllStringSubmatch(string(source), -1) {
		if name := m[1]; !strings.HasPrefix(name, "frankenphp_") && name != "headers_send" {
			names = append(names, name)
		}
	}
	return names
}

// WorkerDisabled returns the value of disable_functions for a worker script: the
// functions that Source replaces, and those that the user has disabled.
func WorkerDisabled(user []string) string {
	all := append(replaced(), user...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// quote returns s as a string of PHP.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
