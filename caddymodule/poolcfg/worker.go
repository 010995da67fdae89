package poolcfg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/worker"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Worker keeps an application in memory: its script starts once in each worker of the
// application's own pool, and then handles one request after the other by calling
// frankenphp_handle_request(), as in the worker mode of FrankenPHP. Needs PHP 8.0.
//
// Requests for the script go there; all other scripts run in the handler's ordinary
// pool. Both pools have the same options, except those given here.
type Worker struct {
	// The script. A relative path is relative to the handler's `root`, or else to
	// the current directory; in a Caddyfile also to the site's root.
	File string `json:"file,omitempty"`

	// The number of workers, which is then fixed. Default: that of the other
	// options, as in an ordinary pool.
	Num int `json:"num,omitempty"`

	// Variables for `$_SERVER` and getenv(), in addition to those of the handler's
	// `env`, while the script starts and in its requests.
	Env map[string]string `json:"env,omitempty"`

	// The paths of the requests that the script handles, as in Caddy's matcher
	// `path`, instead of requests for the script itself. Files of the site that
	// exist and are no scripts come first. The script may be outside of the root.
	// Default: none.
	Match []string `json:"match,omitempty"`

	// Files whose change starts a new generation, for development: patterns as in
	// FrankenPHP, such as `/app/**/*.{php,twig}`. An empty pattern is
	// `**/*.{env,php,twig,yaml,yml}` in the script's project, which is the nearest
	// directory with a `composer.json` above the script. Default: none.
	Watch []string `json:"watch,omitempty"`

	// The name of the pool. Default: that of the file's path, with `-` for what is
	// not a letter, digit, dot or underscore.
	Name string `json:"name,omitempty"`

	// How many times in a row the script may fail to start before waiting requests
	// get 503. It is started again and again, at growing intervals. -1: requests
	// wait up to `queue_timeout`. Default: 6.
	MaxConsecutiveFailures int `json:"max_consecutive_failures,omitempty"`
}

// defaultMaxFailures is the default of [Worker.MaxConsecutiveFailures], as in
// FrankenPHP.
const defaultMaxFailures = 6

// DefaultMaxWorkerRequests is the default of max_requests in the pool of a [Worker]:
// PHP itself leaks some 200 bytes for each request with a body, and applications leak
// more.
const DefaultMaxWorkerRequests = 10000

// Validate returns an error for the first field that is invalid. The error has the
// value and the remedy.
func (w *Worker) Validate() error {
	switch {
	case w.File == "":
		return errors.New("worker needs a file: write worker <file>")
	case w.Num < 0 || w.Num > MaxWorkers:
		return fmt.Errorf("num %d is out of range: write a number from 1 to %d", w.Num, MaxWorkers)
	case w.MaxConsecutiveFailures < -1 || w.MaxConsecutiveFailures > 1<<30:
		return fmt.Errorf("max_consecutive_failures %d is out of range: write a number of failures, or -1 for no limit", w.MaxConsecutiveFailures)
	}
	for _, pattern := range w.Watch {
		if _, err := parseWatch(pattern); err != nil {
			return err
		}
	}
	return nil
}

// Path returns the absolute path of the script. root is that of the handler; it may be
// empty or contain placeholders.
func (w *Worker) Path(root string) (string, error) {
	file, err := Expand("worker", w.File)
	if err != nil {
		return "", err
	}
	if root != "" && !filepath.IsAbs(file) {
		if !strings.Contains(root, "{http.") {
			if root, err = Expand("root", root); err != nil {
				return "", err
			}
		}
		if strings.Contains(root, "{") {
			return "", fmt.Errorf("worker %s: the root %s depends on the request: write the absolute path of the script", w.File, root)
		}
		file = filepath.Join(root, file)
	}
	if strings.Contains(file, "{") {
		return "", fmt.Errorf("worker %s depends on the request: write the absolute path of the script", file)
	}
	return caddy.FastAbs(file)
}

// workerScript is the worker of the pool that some options are for.
type workerScript struct {
	Worker
	path string            // absolute
	env  map[string]string // of the handler and of the worker
}

// ForWorker returns a copy of the options for the pool of a worker, whose script is at
// path. env are the variables of the handler.
func (o *Options) ForWorker(w *Worker, path string, env map[string]string) *Options {
	all := maps.Clone(env)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, w.Env)
	all["FRANKENPHP_WORKER"] = "1" // frameworks look for it
	own := *o
	own.worker = &workerScript{Worker: *w, path: path, env: all}
	own.Quarantine = nil
	if w.Num > 0 {
		own = *own.withoutSizing(&Options{Manager: string(pool.Static)})
		own.Manager, own.Workers = string(pool.Static), w.Num
	}
	return &own
}

// WorkerEnv returns the variables of the worker and of its handler, with placeholders.
func (o *Options) WorkerEnv() map[string]string { return o.worker.env }

// RunsWorker reports whether the options are for the pool of a [Worker].
func (o *Options) RunsWorker() bool { return o.worker != nil }

// equal reports whether both workers are the same; both may be nil.
func (w *workerScript) equal(other *workerScript) bool {
	if w == nil || other == nil {
		return w == other
	}
	x, err1 := json.Marshal(w.Worker)
	y, err2 := json.Marshal(other.Worker)
	return err1 == nil && err2 == nil && bytes.Equal(x, y) && w.path == other.path && maps.Equal(w.env, other.env)
}

// settings changes the settings of a pool to those of a worker's.
func (w *workerScript) settings(s *pool.Settings, o *Options) {
	s.Quarantine, s.Boots = pool.Quarantine{}, true
	if o.MaxRequests == 0 {
		s.MaxRequests = DefaultMaxWorkerRequests
		s.MaxRequestsJitter = valueOr(o.MaxRequestsJitter, s.MaxRequests/10)
	}
	switch w.MaxConsecutiveFailures {
	case 0:
		s.LaunchFailures = defaultMaxFailures
	case -1:
		s.LaunchFailures = math.MaxInt
	default:
		s.LaunchFailures = w.MaxConsecutiveFailures
	}
}

// WorkerPlan is the worker of a plan.
type WorkerPlan struct {
	// File is the absolute path of the script as configured.
	File string
	// Script is File without symlinks in the path of its directory: all workers of a
	// generation run the same release.
	Script string
	// Env has the variables of the script, without placeholders.
	Env map[string]string
	// Watch are the patterns of the files to watch, absolute.
	Watch []string
	// Files are those files before the script was started.
	Files map[string]WatchedFile

	script worker.Script
}

// prepareWorker sets p.Worker. It does nothing for an ordinary pool.
func (p *Plan) prepareWorker() error {
	w := p.Options.worker
	if w == nil {
		return nil
	}
	script, err := ResolveScript(p.Options.inRelease(w.path))
	if err != nil {
		return fmt.Errorf("%w: write the path of the script that runs the application", err)
	}
	if info, err := os.Stat(script); err != nil {
		return fmt.Errorf("%w: write the path of the script that runs the application", err)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: write the path of the script that runs the application", script)
	}
	if err := p.checkReadable(script); err != nil {
		return err
	}
	p.Worker = &WorkerPlan{File: w.path, Script: script, Env: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(w.env)) {
		value := w.env[name]
		if strings.Contains(value, "{http.") || strings.Contains(value, "{vars.") {
			continue // only requests have a value
		}
		if p.Worker.Env[name], err = Expand("env "+name, value); err != nil {
			return err
		}
	}
	for _, pattern := range w.Watch {
		pattern, err := absoluteWatch(pattern, script)
		if err != nil {
			return err
		}
		if _, err := parseWatch(pattern); err != nil {
			return err
		}
		p.Worker.Watch = append(p.Worker.Watch, pattern)
	}
	p.Worker.Files = WatchedFiles(p.Worker.Watch)
	return nil
}

// IsFile reports whether the path is that of a regular file.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// ResolveScript returns the path of a script without symlinks in that of its
// directory. A symlink in place of the file stays, as in the SCRIPT_FILENAME of an
// ordinary request.
func ResolveScript(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// checkReadable returns an error if Caddy or PHP's user cannot read the file.
func (p *Plan) checkReadable(path string) error {
	if err := readableFile(path); err != nil {
		return fmt.Errorf("%w: let Caddy's user read the script", err)
	}
	if p.User == nil || p.User.UID == 0 {
		return nil
	}
	if err := p.User.CheckTraverse(path); err != nil {
		return err
	}
	return p.User.CheckMode(path, 4, "read (r)")
}

// prepareScript adds to the options of the processes what the worker script needs. The
// binary must have been detected.
func (p *Plan) prepareScript() {
	prepend, _ := p.Binary.Setting(phpbin.Prepend)
	disabled, _ := p.Binary.Setting("disable_functions")
	p.Worker.script = worker.Script{
		Filename: p.Worker.Script, Root: filepath.Dir(p.Worker.Script), Env: p.Worker.Env,
		Prepend: prepend, Disabled: functionNames(disabled), SignalMark: SignalMark,
	}
	if buffering, err := p.configured("output_buffering"); err == nil && buffering == "" {
		// PHP's own default is off. In a worker script each echo would then call a
		// function of PHP: 1500 of them took 340 µs instead of 74.
		p.Process.INI = append(slices.Clip(p.Process.INI), phpbin.Setting{Name: "output_buffering", Value: "4096"})
	}
	p.Worker.script.Prepare(&p.Process)
}

// workerLauncher marks the errors of worker scripts.
type workerLauncher struct{ pool.Launcher }

func (l workerLauncher) Launch(ctx context.Context) (pool.Process, error) {
	p, err := l.Launcher.Launch(ctx)
	if _, ok := errors.AsType[*phpbin.StartError](err); ok {
		return nil, &pool.BootError{Err: err}
	}
	return p, err
}

// startWorkers makes base, a launcher of phpbin, one of worker scripts. onReset is
// called when a script has called opcache_reset().
func (p *Plan) startWorkers(base interface{ Slots() int }, onReset func()) (pool.Launcher, error) {
	script := p.Worker.script
	script.OnReset = onReset
	l, err := script.Start(base)
	if err != nil {
		return nil, err
	}
	return workerLauncher{l}, nil
}

// checkWorkerPHP returns an error if PHP is too old for workers.
func (p *Plan) checkWorkerPHP() error {
	if p.Worker == nil || p.Binary.Version.AtLeast(8, 0) {
		return nil
	}
	return fmt.Errorf("worker needs PHP 8.0 or later, and %s is PHP %s: write binary <version> for a newer one, or remove worker",
		p.Binary.Path, p.Binary.VersionText)
}
