package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// Pool is a pool as a config would have it.
type Pool struct {
	Name string

	// Process is how its workers would be started, Shared whether they would
	// be forked from one master. Only Process.Binary is there when Err is set.
	Process phpbin.Options
	Shared  bool

	// User is who they would run as; empty is whoever Caddy is. Caution is what
	// speaks against it.
	User    string
	Caution error

	// Workers is the most there would be, and Sizing the arithmetic behind it,
	// if there is one.
	Workers int
	Sizing  string

	StopTimeout time.Duration

	// Err is why there can be no such pool.
	Err error
}

// checkTimeout is how long one question to one php-cgi may take.
const checkTimeout = 15 * time.Second

// Run looks at every php-cgi on this machine, at the pools and at the
// system.
func Run(ctx context.Context, pools []Pool) *Report {
	r := new(Report)
	list := invocations(pools)
	for _, w := range list {
		r.Add(w.run(ctx))
	}
	if len(list) == 0 {
		_, err := phpbin.Find("")
		if _, ok := errors.AsType[*phpbin.NotFoundError](err); ok { // it says what to install
			r.Add(Subject{Kind: "php-cgi", Findings: []Finding{{Level: Problem, Summary: err.Error()}}})
		}
	}
	for i := range pools {
		r.Add(pools[i].check())
	}
	r.Add(checkSystem(pools))
	return r
}

// invocation is a php-cgi and how it is started; other options make another PHP of it.
type invocation struct {
	path    string
	options phpbin.Options
	shared  bool
	pools   []string // that start it like this
}

// invocations lists each php-cgi of this machine, and those that pools name, in all
// ways in which pools start it.
func invocations(pools []Pool) []*invocation {
	var list []*invocation
	byKey := map[string]*invocation{}
	used := map[string]bool{}
	base := phpbin.Options{}
	for i := range pools {
		p := &pools[i]
		if p.Process.Binary == "" {
			continue
		}
		o := p.Process
		if os.Geteuid() != 0 {
			o.Credential = nil // only root can ask as somebody else
		}
		if p.Err == nil && base.Credential == nil {
			base.Credential = o.Credential
		}
		key := fmt.Sprint(o.Binary, o.Args(), o.Environ(), o.Credential, o.Rlimits, p.Shared)
		if byKey[key] == nil {
			byKey[key] = &invocation{path: o.Binary, options: o, shared: p.Shared}
			list = append(list, byKey[key])
		}
		byKey[key].pools = append(byKey[key].pools, p.Name)
		used[o.Binary] = true
	}
	for _, path := range phpbin.Candidates() {
		if !used[path] {
			o := base
			o.Binary = path
			list = append(list, &invocation{path: path, options: o, shared: sharedIsDefault})
		}
	}
	return list
}

// check looks at one php-cgi. What is wrong with one that no pool runs is
// worth a note only.
func (w *invocation) run(ctx context.Context) Subject {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s := w.checkPHP(ctx)
	if len(w.pools) == 0 {
		for i := range s.Findings {
			if s.Findings[i].Level == Problem {
				s.Findings[i].Level = Note
				s.Findings[i].Summary += " (no pool runs it)"
			}
		}
	}
	return s
}

// check says what a pool would be like.
func (p *Pool) check() Subject {
	var f findings
	if p.Err != nil {
		f.problem("", "%v", p.Err)
		return Subject{Kind: "pool", Name: p.Name, Findings: f}
	}
	switch {
	case p.Caution != nil:
		f.note("nothing, if Caddy does run as root", "%v", p.Caution)
	case p.User == "":
		f.note("run Caddy as root and write `user www-data`, or see that no site is another's enemy",
			"PHP runs as the same user as Caddy, so scripts can read all that Caddy can, its TLS keys included")
	default:
		f.ok("PHP runs as %s", p.User)
	}
	if p.Sizing != "" {
		f.ok("max_workers auto: %s", p.Sizing)
	} else {
		f.ok("at most %s", count(p.Workers, "worker"))
	}
	return Subject{Kind: "pool", Name: p.Name, Findings: f}
}
