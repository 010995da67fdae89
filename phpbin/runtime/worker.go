package phpruntime

import (
	"embed"
	"slices"
	"strings"
)

//go:embed worker/*.php
var workerFiles embed.FS

// workerOrder are the files in the order in which PHP gets them: boot.php comes last.
var workerOrder = []string{"connection", "request", "body", "output", "error", "worker", "functions", "boot"}

// Worker says how to load what runs a worker script.
type Worker struct {
	// Mark begins each signal to php_pool: see fastcgi.Request.SignalMark.
	Mark string

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
		b.WriteString(strings.ReplaceAll(strings.TrimPrefix(string(source), "<?php\n"), "@MARK@", w.Mark))
	}
	if w.Prepend != "" {
		b.WriteString("\nrequire " + quote(w.Prepend) + ";\n")
	}
	return b.String()
}

// replaced are the functions of PHP that Source defines again. They must be in
// disable_functions.
var replaced = []string{"flush", "ob_get_level"}

// WorkerDisabled returns the value of disable_functions for a worker script: the
// functions that Source replaces, and those that the user has disabled.
func WorkerDisabled(user []string) string {
	all := slices.Concat(replaced, user)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// quote returns s as a string of PHP.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
