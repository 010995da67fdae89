package caddymodule

import (
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// parseWorker parses
//
//	worker <file> [<num>|watch]
//
//	worker [<file>] {
//	    file <path>
//	    num <n>
//	    env <key> <value>
//	    match <paths...>
//	    watch [<patterns...>]
//	    name <name>
//	    max_consecutive_failures <n>
//	}
//
// as in FrankenPHP.
func parseWorker(d *caddyfile.Dispenser) (*poolcfg.Worker, error) {
	w := new(poolcfg.Worker)
	args := d.RemainingArgs()
	switch {
	case len(args) > 2:
		return nil, d.Errf("worker needs a file and optionally a number of workers, got %d values: write worker <file> [<num>]", len(args))
	case len(args) == 1 && strings.Trim(args[0], "0123456789") == "":
		return nil, d.Errf("worker %s has no file: write worker <file> %s to keep an application in memory, or workers %s for the number of workers",
			args[0], args[0], args[0])
	case len(args) > 0:
		w.File = args[0]
	}
	if len(args) == 2 {
		if args[1] == "watch" {
			w.Watch = []string{""}
		} else if n, err := strconv.Atoi(args[1]); err != nil || n < 1 {
			return nil, d.Errf("worker %s %s: %s is not a number of workers: write a number from 1 to %d", args[0], args[1], args[1], poolcfg.MaxWorkers)
		} else {
			w.Num = n
		}
	}
	seen := map[string]bool{}
	for d.NextBlock(0) {
		option := caddyfile.NewDispenser(d.NextSegment())
		option.Next()
		name := option.Val()
		if seen[name] && name != "env" && name != "watch" {
			return nil, option.Errf("duplicate option %q of worker: remove one", name)
		}
		seen[name] = true
		if err := parseWorkerOption(option, w); err != nil {
			return nil, err
		}
	}
	if err := w.Validate(); err != nil {
		return nil, d.WrapErr(err)
	}
	return w, nil
}

// parseWorkerOption parses a line of worker's block.
func parseWorkerOption(d *caddyfile.Dispenser, w *poolcfg.Worker) error {
	switch name := d.Val(); name {
	case "file":
		return parseString(d, &w.File)
	case "num":
		return parseCount(d, &w.Num)
	case "env":
		return parsePairs(d, &w.Env)
	case "match":
		return parseStrings(d, &w.Match)
	case "watch":
		patterns := d.RemainingArgs()
		if len(patterns) == 0 {
			patterns = []string{""}
		}
		w.Watch = append(w.Watch, patterns...)
		return nil
	case "name":
		return parseString(d, &w.Name)
	case "max_consecutive_failures":
		return parseInt(d, &w.MaxConsecutiveFailures)
	case "max_threads":
		return d.Errf("worker has no max_threads: remove num, and write max_workers %s in the block of php_pool", strings.Join(d.RemainingArgs(), " "))
	default:
		if poolOptionParser(name) != nil {
			return d.Errf("%s is not an option of worker: write it in the block of php_pool, whose options apply to its workers too", name)
		}
		return d.Errf("unrecognized option %q of worker: write file, num, env, match, watch, name or max_consecutive_failures; "+
			"all other options belong in the block of php_pool", name)
	}
}

// addWorker adds a worker to a list of a site or of the global options. The error is
// about another one in the list.
func addWorker(d *caddyfile.Dispenser, list *[]*poolcfg.Worker, w *poolcfg.Worker) error {
	for _, other := range *list {
		if other.File == w.File && len(other.Match) == 0 && len(w.Match) == 0 {
			return d.Errf("duplicate worker %s: remove one", w.File)
		}
	}
	*list = append(*list, w)
	return nil
}

// finishWorkers makes the files of the workers relative to the root of the site, unless
// the directive has its own root. The root directive is not part of the handler's
// configuration, so this is where a worker outside of it is refused.
func (p *directive) finishWorkers() error {
	root, _ := p.helper.BlockState["root"].(string)
	if p.handler.Root != "" || root == "" {
		return nil
	}
	for _, w := range p.handler.Workers {
		if !filepath.IsAbs(w.File) && !path.IsAbs(w.File) && !strings.HasPrefix(w.File, "{") {
			w.File = strings.TrimSuffix(root, "/") + "/" + strings.TrimPrefix(w.File, "./")
		}
		if len(w.Match) == 0 {
			if err := outsideOfRoot(w.File, root); err != nil {
				return p.helper.Errf("worker %v", err)
			}
		}
	}
	return nil
}
