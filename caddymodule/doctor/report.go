package doctor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Note    Level = "note"
	Problem Level = "problem"
)

// Finding is one thing that was seen. Cure says what to do about a note or a
// problem.
type Finding struct {
	Level   Level  `json:"level"`
	Summary string `json:"summary"`
	Remedy  string `json:"remedy,omitempty"`
}

// Subject is something that was looked at.
type Subject struct {
	Kind     string    `json:"kind"` // php-cgi, pool, system, config or caddy
	Name     string    `json:"name"`
	PHP      *PHP      `json:"php,omitempty"`
	Findings []Finding `json:"findings"`
}

// PHP are the facts about a php-cgi.
type PHP struct {
	Path             string   `json:"path"`
	Version          string   `json:"version"`
	ZTS              bool     `json:"zts"`
	OPcache          bool     `json:"opcache"`
	OPcacheMemory    int64    `json:"opcache_memory_bytes,omitempty"`
	JIT              bool     `json:"jit"`
	MemoryLimit      int64    `json:"memory_limit_bytes"` // -1: none
	MaxExecutionTime string   `json:"max_execution_time"`
	INIFile          string   `json:"ini_file"`
	ScannedFiles     []string `json:"scanned_files"`
	Extensions       []string `json:"extensions"`
	Start            float64  `json:"start_seconds,omitempty"` // until the first worker answers
	Pools            []string `json:"pools"`                   // that run it
}

// Report is all that was found.
type Report struct {
	Subjects []Subject `json:"subjects"`
	Problems int       `json:"problems"`
	Notes    int       `json:"notes"`
}

// Add appends a subject; one without findings says nothing.
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

// Write writes the report for people. verbose adds the names of extensions and
// ini files.
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
	fmt.Fprintf(&b, "%s, %s\n", count(r.Problems, "problem"), count(r.Notes, "note"))
	_, err := w.Write(b.Bytes())
	return err
}

func (s *Subject) title() string {
	if s.Name == "" {
		return s.Kind
	}
	return s.Kind + " " + s.Name
}

// findings gathers what is found about one subject.
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

// count is "1 note", "2 notes".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
