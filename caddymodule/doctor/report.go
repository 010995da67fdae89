package doctor

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// Level is the severity of a finding.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Note    Level = "note"
	Problem Level = "problem"
)

// Finding is the result of one check.
type Finding struct {
	Level Level `json:"level"`

	// Summary says in one line what was found.
	Summary string `json:"summary"`

	// Remedy says how to fix a note or a problem.
	Remedy string `json:"remedy,omitempty"`
}

// Subject is something that was checked.
type Subject struct {
	// Kind is php-cgi, pool, system, config, caddy or running pool.
	Kind string `json:"kind"`

	// Name is empty where there is only one of this kind.
	Name string `json:"name"`

	// PHP is set if Kind is php-cgi and it could be run.
	PHP *PHP `json:"php,omitempty"`

	Findings []Finding `json:"findings"`
}

// PHP describes a php-cgi as pools start it.
type PHP struct {
	Path    string `json:"path"`
	Version string `json:"version"`

	// ZTS reports whether this is a thread-safe build.
	ZTS bool `json:"zts"`

	// OPcache and JIT report whether they are switched on.
	OPcache bool `json:"opcache"`
	JIT     bool `json:"jit"`

	// OPcacheMemory is opcache.memory_consumption.
	OPcacheMemory int64 `json:"opcache_memory_bytes,omitempty"`

	// MemoryLimit is memory_limit; -1 means no limit.
	MemoryLimit int64 `json:"memory_limit_bytes"`

	// MaxExecutionTime is the value of the directive, in seconds.
	MaxExecutionTime string `json:"max_execution_time"`

	// INIFile is php.ini; empty if none was read. ScannedFiles are the other
	// ini files that were read.
	INIFile      string   `json:"ini_file"`
	ScannedFiles []string `json:"scanned_files"`

	Extensions []string `json:"extensions"`

	// Start is the time from the start of php-cgi to the first response of a
	// worker.
	Start float64 `json:"start_seconds,omitempty"`

	// Pools are the names of the pools that start it like this.
	Pools []string `json:"pools"`
}

// Report has the results of all checks.
type Report struct {
	Subjects []Subject `json:"subjects"`

	// Problems and Notes count the findings of these levels.
	Problems int `json:"problems"`
	Notes    int `json:"notes"`
}

// Add appends a subject, unless it has no findings.
func (r *Report) Add(s Subject) {
	if len(s.Findings) == 0 {
		return
	}
	r.Subjects = append(r.Subjects, s)
	for _, f := range s.Findings {
		switch f.Level {
		case Problem:
			r.Problems++
		case Note:
			r.Notes++
		case OK:
		}
	}
}

// Write writes the report as text. If verbose is set, it includes the names of
// extensions and ini files.
func (r *Report) Write(w io.Writer, verbose bool) error {
	var b bytes.Buffer
	for _, s := range r.Subjects {
		fmt.Fprintf(&b, "%s\n", Printable(s.title()))
		for _, f := range s.Findings {
			fmt.Fprintf(&b, "  %-8s %s\n", f.Level, Printable(f.Summary))
			if f.Remedy != "" {
				fmt.Fprintf(&b, "  %-8s → %s\n", "", Printable(f.Remedy))
			}
		}
		if verbose && s.PHP != nil {
			fmt.Fprintf(&b, "  %-8s extensions: %s\n", "", strings.Join(s.PHP.Extensions, " "))
			fmt.Fprintf(&b, "  %-8s ini files: %s\n", "", strings.Join(append([]string{s.PHP.INIFile}, s.PHP.ScannedFiles...), " "))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s, %s\n", human.Plural(r.Problems, "problem"), human.Plural(r.Notes, "note"))
	_, err := w.Write(b.Bytes())
	return err
}

func (s *Subject) title() string {
	if s.Name == "" {
		return s.Kind
	}
	return s.Kind + " " + s.Name
}

// findings collects the findings about one subject.
type findings []Finding

func (f *findings) ok(format string, args ...any) {
	*f = append(*f, Finding{Level: OK, Summary: fmt.Sprintf(format, args...)})
}

func (f *findings) note(remedy, format string, args ...any) {
	*f = append(*f, Finding{Level: Note, Remedy: remedy, Summary: fmt.Sprintf(format, args...)})
}

func (f *findings) problem(remedy, format string, args ...any) {
	*f = append(*f, Finding{Level: Problem, Remedy: remedy, Summary: fmt.Sprintf(format, args...)})
}
