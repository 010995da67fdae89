package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/internal/human"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// Pool describes a pool of a config.
type Pool struct {
	Name string

	// Process has the options that the workers are started with. Shared reports
	// whether they are forked from one master. When Err is set, Process has no
	// more than the Binary.
	Process phpbin.Options
	Shared  bool

	// User is the name of the user that the workers run as; empty means Caddy's
	// own user. SetsUser reports whether the config sets it. Caution is the reason
	// why Caddy may be unable to use it.
	User     string
	SetsUser bool
	Caution  error

	// Confined lists what PHP cannot reach although it runs as Caddy's own user, and Gaps
	// are sentences about what it can; Unconfined is the reason why it is not confined.
	Confined, Gaps []string
	Unconfined     string

	// Workers is the maximum number of workers. Sizing explains how it was
	// computed; empty if the config sets it.
	Workers int
	Sizing  string

	StopTimeout time.Duration

	// Unknown are the names of its ini settings that PHP does not know, each with
	// the reason.
	Unknown map[string]string

	// Err is the reason why the pool cannot be created.
	Err error
}

// checkTimeout limits all checks of one php-cgi together.
const checkTimeout = 15 * time.Second

// Run checks every php-cgi on this machine, the pools and the system.
func Run(ctx context.Context, pools []Pool) *Report {
	r := new(Report)
	list := invocations(pools)
	for _, inv := range list {
		r.Add(inv.run(ctx))
	}
	if len(list) == 0 {
		_, err := phpbin.Find("")
		if _, ok := errors.AsType[*phpbin.NotFoundError](err); ok { // its text says what to install
			r.Add(Subject{Kind: "php-cgi", Findings: []Finding{{Level: Problem, Summary: err.Error()}}})
		}
	}
	for i := range pools {
		r.Add(pools[i].check())
	}
	r.Add(checkSystem(pools))
	return r
}

// invocation is a php-cgi with the options that it is started with: with other
// options it may have other settings and extensions.
type invocation struct {
	path    string
	options phpbin.Options
	shared  bool
	pools   []string // the pools that start it like this
}

// invocations lists each php-cgi of this machine and of the pools, once for each
// different set of options that pools start it with.
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
		if ok, _ := phpbin.CanSwitchUser(); !ok {
			o.Credential = nil
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
			list = append(list, &invocation{path: path, options: o, shared: phpbin.SupportsShared})
		}
	}
	return list
}

// run checks one php-cgi. Problems count as notes if no pool runs it.
func (inv *invocation) run(ctx context.Context) Subject {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s := inv.checkPHP(ctx)
	if len(inv.pools) == 0 {
		for i := range s.Findings {
			if s.Findings[i].Level == Problem {
				s.Findings[i].Level = Note
				s.Findings[i].Summary += " (no pool runs it)"
			}
		}
	}
	return s
}

// check checks the user and the size of a pool.
func (p *Pool) check() Subject {
	var f findings
	if p.Err != nil {
		f.problem("", "%v", p.Err)
		return Subject{Kind: "pool", Name: p.Name, Findings: f}
	}
	switch {
	case p.Caution != nil:
		f.note("ignore this if Caddy itself runs as root or with these capabilities", "%v", p.Caution)
	case p.User == "" && len(p.Confined) > 0:
		f.ok("PHP runs as the same user as Caddy, and is confined: scripts cannot reach %s", strings.Join(p.Confined, ", "))
		for _, gap := range p.Gaps {
			f.note("close the gap, or "+SameUserRemedy(), "%s", gap)
		}
	case p.User == "":
		because := ""
		if p.Unconfined != "" {
			because = " (confine: " + p.Unconfined + ")"
		}
		f.note(SameUserRemedy(), "PHP runs as the same user as Caddy, so scripts can read everything that Caddy can, including its TLS keys%s", because)
	default:
		f.ok("PHP runs as %s", p.User)
	}
	if p.Sizing != "" {
		f.ok("max_workers auto: %s", p.Sizing)
	} else {
		f.ok("at most %s", human.Plural(p.Workers, "worker"))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Unknown)) {
		f.note("correct its name, load its extension, or remove it", "ini setting %s is unknown to PHP: %s", name, p.Unknown[name])
	}
	return Subject{Kind: "pool", Name: p.Name, Findings: f}
}
