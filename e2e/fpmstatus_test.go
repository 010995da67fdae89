//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// fpmSite has the status and ping pages of php-fpm.
const fpmSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	@fpm path /fpm/status /fpm/ping
	reverse_proxy @fpm unix/{$DIR}/fpm.sock {
		transport fastcgi {
			split .php
		}
	}
	PHP
}
`

// statusSite has the same pages of php_pool.
const statusSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	php_pool_status /fpm/status main {
		full_uri
	}
	php_pool_ping /fpm/ping main {
		response "all is well"
	}
	PHP {
		name main
	}
}
`

// fpmProcess is a process in the JSON of php-fpm's status page.
type fpmProcess struct {
	State    string
	Requests int
	Duration int64  `json:"request duration"`
	URI      string `json:"request uri"`
	Length   int    `json:"content length"`
	User     string
	Script   string
	CPU      float64 `json:"last request cpu"`
	Memory   int64   `json:"last request memory"`
	Method   string  `json:"request method"`
}

// findFPMProcess returns the process that runs a script or ran it last, or nil.
func findFPMProcess(s *harness.Server, script string) *fpmProcess {
	s.T.Helper()
	var page struct{ Processes []*fpmProcess }
	if err := json.Unmarshal([]byte(s.Get("/fpm/status?json&full").Text), &page); err != nil {
		s.T.Fatal(err)
	}
	i := slices.IndexFunc(page.Processes, func(p *fpmProcess) bool { return strings.HasSuffix(p.Script, script) })
	if i < 0 {
		return nil
	}
	p := page.Processes[i]
	p.Script = strings.TrimPrefix(p.Script, s.Site)
	return p
}

// TestStatusPage_MatchesPHPFPM compares php_pool's status page with that of a
// php-fpm that got the same requests. In each format the pages have to be identical,
// except for the values, whose kinds have to be the same.
func TestStatusPage_MatchesPHPFPM(t *testing.T) {
	t.Parallel()
	theirs := harness.Start(t, harness.FPM, fpmSite, harness.Options{Workers: 3})
	ours := harness.Start(t, harness.SharedLean, statusSite, harness.Options{Workers: 3})
	both := []*harness.Server{theirs, ours}

	for _, s := range both {
		response := s.StartBlocked("wait.php")
		defer func() {
			s.Unblock()
			harness.WantUnblocked(t, response)
		}()
	}
	t.Run("formats", func(t *testing.T) {
		for _, format := range []string{"", "json", "xml", "html", "openmetrics", "html&xml&json", "json&openmetrics"} {
			for _, query := range []string{format, format + "&full"} {
				want, got := theirs.Get("/fpm/status?"+query), ours.Get("/fpm/status?"+query)
				for _, header := range []string{"Content-Type", "Cache-Control", "Expires"} {
					if got, want := got.Header[header], want.Header[header]; !slices.Equal(got, want) {
						t.Errorf("%s of %q: got %q, want %q", header, query, got, want)
					}
				}
				if got.StatusCode != http.StatusOK {
					t.Errorf("%q: got status %d", query, got.StatusCode)
				}
				if got, want := shape(got.Text), shape(want.Text); got != want {
					t.Errorf("%q: got\n%s\nwant, as php-fpm has it,\n%s", query, got, want)
				}
			}
		}
	})
	t.Run("a request that runs", func(t *testing.T) {
		want, got := findFPMProcess(theirs, "/wait.php"), findFPMProcess(ours, "/wait.php")
		if want == nil || got == nil {
			t.Fatalf("it is not there: got %v, php-fpm has %v", got, want)
		}
		if got.Duration < 1000 {
			t.Errorf("got a duration of %d microseconds", got.Duration)
		}
		got.Duration, want.Duration = 0, 0
		if *got != *want || got.State != "Running" {
			t.Errorf("got %+v, want %+v", *got, *want)
		}
	})
	t.Run("a request that has ended", func(t *testing.T) { compareLastRequests(t, theirs, ours) })
	t.Run("ping", func(t *testing.T) {
		for _, path := range []string{"/fpm/ping", "/fpm/status?json&full"} {
			head := ours.Do(ours.Request("HEAD", path, nil))
			head.Want(t, 200, "")
			if head.Text != "" || head.Header.Get("Expires") == "" {
				t.Errorf("HEAD %s: got %q, %v", path, head.Text, head.Header)
			}
		}
		want, got := theirs.Get("/fpm/ping"), ours.Get("/fpm/ping")
		got.Want(t, 200, want.Text)
		for _, header := range []string{"Content-Type", "Cache-Control", "Expires"} {
			if got, want := got.Header[header], want.Header[header]; !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", header, got, want)
			}
		}
	})
}

// compareLastRequests sends both a request, and compares what they show of it
// afterwards.
func compareLastRequests(t *testing.T, theirs, ours *harness.Server) {
	t.Helper()
	var last []*fpmProcess
	for _, s := range []*harness.Server{theirs, ours} {
		// A request that computes for a while, with a body and a user.
		harness.WriteFile(t, s.Site+"/compute.php", "<?php $x = str_repeat('x', 8 << 20); for ($end = hrtime(true) + 2e8; hrtime(true) < $end;);")
		// It is repeated because the status request to php-fpm itself takes one of
		// its processes, which then shows that request; php-fpm responds before it
		// has finished; and php_pool's CPU and memory may be a second old.
		harness.Eventually(t, func() error {
			req := s.Request("POST", "/compute.php?a=%3Cb%3E&c=d", strings.NewReader("x=12345"))
			req.SetBasicAuth("bob", "secret")
			s.Do(req).Want(t, 200, "")
			p := findFPMProcess(s, "/compute.php")
			if p == nil || p.State != "Idle" || p.CPU < 5 || p.Memory < 1<<17 {
				return fmt.Errorf("no process shows it, or not all of it: %+v", p)
			}
			last = append(last, p)
			return nil
		})
	}
	for _, p := range last {
		if p.Duration < 200_000 || p.Duration > 20_000_000 {
			t.Errorf("got a duration of %d microseconds", p.Duration)
		}
		if p.CPU > 110 || p.Memory > 64<<20 {
			t.Errorf("got %v %% of a CPU, and %d bytes", p.CPU, p.Memory)
		}
		p.Duration, p.CPU, p.Memory, p.Requests = 0, 0, 0, 0
	}
	if *last[1] != *last[0] {
		t.Errorf("got %+v, want %+v", *last[1], *last[0])
	}
	want := fpmProcess{
		State: "Idle", Method: "POST", URI: "/compute.php?a=%3Cb%3E&c=d", Length: 7, User: "bob", Script: "/compute.php",
	}
	if *last[1] != want {
		t.Errorf("got %+v, want %+v", *last[1], want)
	}
}

// shape replaces each value of a status page by its kind.
func shape(page string) string {
	switch {
	case strings.HasPrefix(page, "# "):
		page = helpText.ReplaceAllString(page, "") // php-fpm's texts differ
		page = regexp.MustCompile(`(?m)^(\w+ )(.*)$`).ReplaceAllStringFunc(page, func(line string) string {
			name, value, _ := strings.Cut(line, " ")
			return name + " " + kind(value)
		})
	case strings.HasPrefix(page, "{"):
		page = jsonValue.ReplaceAllStringFunc(page, func(value string) string { return value[:2] + kind(value[2:]) })
	case strings.HasPrefix(page, "<"):
		page = elementValue.ReplaceAllStringFunc(page, func(value string) string {
			return ">" + kind(value[1:len(value)-2]) + "</"
		})
	default:
		page = textValue.ReplaceAllStringFunc(page, func(line string) string {
			label := textValue.FindStringSubmatch(line)[1]
			return label + kind(line[len(label):])
		})
	}
	return page
}

var (
	helpText     = regexp.MustCompile(`(?m)^# HELP .*\n`)
	jsonValue    = regexp.MustCompile(`":("(?:[^"\\]|\\.)*"|[^\[,}"][^,}]*)`)
	elementValue = regexp.MustCompile(`>[^<\n]+</`)
	textValue    = regexp.MustCompile(`(?m)^([^:\n]+: +)(.*)$`)

	kinds = []struct {
		name    string
		pattern *regexp.Regexp
	}{
		{"MOMENT", regexp.MustCompile(`^\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$`)},
		{"DECIMAL", regexp.MustCompile(`^\d+\.\d\d$`)},
		{"INTEGER", regexp.MustCompile(`^\d+$`)},
		{"QUOTED", regexp.MustCompile(`^".*"$`)},
		// The header of a table.
		{"LABEL", regexp.MustCompile(`^(pool|process manager|(max )?(start|accepted|listen|idle|active|total|children|slow|memory|last|request|content)[a-z ]*|pid|state|requests|user|script)$`)},
	}
)

func kind(value string) string {
	for _, k := range kinds {
		if k.pattern.MatchString(value) {
			if k.name == "LABEL" {
				return value
			}
			return k.name
		}
	}
	return "TEXT"
}
