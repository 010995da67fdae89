package doctor

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// fileNames lists the files in a directory.
func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRun_EachInvocation(t *testing.T) {
	sound := php(t)
	broken := filepath.Dir(write(t, t.TempDir(), "php-cgi", "#!/bin/sh\nexit 3\n"))
	t.Setenv("PATH", broken+string(os.PathListSeparator)+os.Getenv("PATH"))
	pool := func(name string, o phpbin.Options) Pool {
		o.Binary = sound
		return Pool{Name: name, Process: o, Shared: phpbin.SupportsShared, Workers: 3}
	}
	r := Run(t.Context(), []Pool{
		pool("a", phpbin.Options{}), pool("b", settings("memory_limit", "-1")), pool("c", phpbin.Options{}),
		{Name: "d", Err: errors.New("workers -1 is wrong")},
	})
	byName := map[string]Subject{}
	for _, s := range r.Subjects {
		byName[s.Kind+" "+s.Name] = s
	}
	wantFinding(t, byName["php-cgi "+sound+" as started by a, c"].Findings, OK, "works", "")
	wantFinding(t, byName["php-cgi "+sound+" as started by b"].Findings, Note, "memory_limit is off", "")
	wantFinding(t, byName["php-cgi "+broken+"/php-cgi"].Findings, Note, "no pool runs it", "")
	wantFinding(t, byName["pool a"].Findings, OK, "at most 3 workers", "")
	wantFinding(t, byName["pool d"].Findings, Problem, "workers -1 is wrong", "")
	wantFinding(t, byName["system "].Findings, OK, "can create files in", "")
}

func TestRun_PHPMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if len(phpbin.Candidates()) > 0 {
		return // it is in a directory that is searched without PATH
	}
	r := Run(t.Context(), nil)
	wantFinding(t, r.Subjects[0].Findings, Problem, "install it with", "")
}

func TestReport_Text(t *testing.T) {
	var r Report
	var f findings
	f.ok("fine")
	f.note("do that", "not so \x1b[31mfine")
	f.problem("do this", "bad")
	r.Add(Subject{Kind: "php-cgi", Name: "/usr/bin/php-cgi", Findings: f, PHP: &PHP{Extensions: []string{"Core", "xml"}, INIFile: "/etc/php.ini"}})
	r.Add(Subject{Kind: "nothing"})
	r.Add(Subject{Kind: "system", Findings: findings{{Level: Note, Summary: "a thought"}}})
	var b bytes.Buffer
	if err := r.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"php-cgi /usr/bin/php-cgi",
		"  ok       fine",
		"  note     not so �[31mfine",
		"           → do that",
		"  problem  bad",
		"           → do this",
		"           extensions: Core xml",
		"           ini files: /etc/php.ini",
		"",
		"system",
		"  note     a thought",
		"",
		"1 problem, 2 notes",
		"",
	}, "\n")
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestPool_UserAndSize(t *testing.T) {
	for want, p := range map[string]Pool{
		"note: PHP runs as the same user as Caddy": {Workers: 1},
		"ok: PHP runs as www-data":                 {User: "www-data", Sizing: "because"},
		"note: not root":                           {User: "www-data", Caution: errors.New("not root")},
	} {
		if got := format(p.check().Findings); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	unknown := Pool{Unknown: map[string]string{"open_basdir": "did you mean open_basedir?"}}
	wantFinding(t, unknown.check().Findings, Note, "ini setting open_basdir is unknown to PHP: did you mean open_basedir?", "correct its name")
	sized := Pool{Sizing: "60 % of 8 GiB"}
	wantFinding(t, sized.check().Findings, OK, "max_workers auto: 60 % of 8 GiB", "")
}
