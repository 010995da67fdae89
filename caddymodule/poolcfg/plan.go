package poolcfg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// The values of [Options.Spawn].
const (
	SpawnShared = "shared" // workers are forked from one master and share its OPcache
	SpawnSingle = "single" // workers are separate processes
)

// defaultSpawn is the value of [Options.Spawn] if it is not set.
func defaultSpawn() string {
	if phpbin.SupportsShared {
		return SpawnShared
	}
	return SpawnSingle
}

// Plan holds the options of a pool and everything derived from them and from the
// installed php-cgi.
type Plan struct {
	// Options are the merged options of the pool.
	Options *Options
	// Settings are the options that apply to a running pool.
	Settings pool.Settings
	// Binary describes php-cgi.
	Binary *phpbin.Binary
	// Process are the options of the processes of a generation.
	Process phpbin.Options
	// Spawn is [SpawnShared] or [SpawnSingle].
	Spawn string
	// User is the user that PHP runs as; nil means Caddy's own user.
	User *UnixUser
	// Confinement says what PHP cannot reach although it runs as Caddy's own user; nil if
	// it runs as another user, or both are root.
	Confinement *Confinement
	// Functions are the functions that are defined for scripts.
	Functions Functions
	// Worker is the script that all workers of the pool run; nil in an ordinary pool.
	Worker *WorkerPlan
	// Sizing explains max_workers auto; nil if the size is configured.
	Sizing *Sizing
	// Key identifies a generation: plans with the same key start the same processes
	// with the same php-cgi and ini files.
	Key string
	// Inputs are the [FileStates] of php-cgi and its ini files before they were read.
	// If they change, a new plan has another key.
	Inputs map[string]string

	confineNames string // see [phpbin.Confinement.Names]

	privateDir string // of an isolated pool, for uploads and sessions; else ""

	iniFiles INIFiles // during NewPlan
}

// PHPLocator finds php-cgi and detects its version and settings. Find and Detect may
// return earlier results.
type PHPLocator struct {
	// Find returns the path of the php-cgi that the option binary selects.
	Find func(binary string) (path string, err error)
	// Detect runs the php-cgi at path and returns its version and settings.
	Detect func(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error)
	// INIFiles are the ini files that were read for other plans; nil means none.
	INIFiles INIFiles
}

// Uncached is the PHPLocator that always searches and runs php-cgi.
var Uncached = PHPLocator{Find: phpbin.Find, Detect: phpbin.Detect}

// minDetectTimeout limits the time that Detect may run php-cgi, if it is more than
// start_timeout. A run takes 50 ms, but 200 times as long on an overloaded machine.
const minDetectTimeout = 10 * time.Second

// NewPlan finds php-cgi and returns the plan for the options, which must be merged and
// valid. It runs php-cgi to detect its version, but starts no worker. Startup warnings
// of php-cgi are logged. The error names the option that must be changed.
func NewPlan(ctx context.Context, logger *zap.Logger, o *Options, locator PHPLocator) (*Plan, error) {
	p := &Plan{Options: o, Spawn: o.Spawn}
	if p.Spawn == "" {
		p.Spawn = defaultSpawn()
	}
	path, err := locator.Find(o.Binary)
	if err != nil {
		return nil, binaryError(o.Binary, err)
	}
	if err := p.prepare(path); err != nil {
		return nil, err
	}
	limit := max(minDetectTimeout, durationOr(o.StartTimeout, defaultStartTimeout))
	detectCtx, cancel := context.WithTimeoutCause(ctx, limit, errDetectTimeout(limit))
	defer cancel()
	if p.Binary, err = locator.Detect(detectCtx, path, p.detectOptions()); err != nil {
		return nil, binaryError(o.Binary, err)
	}
	p.Inputs, p.iniFiles = inputStates(p.Binary), locator.INIFiles
	defer func() { p.iniFiles = nil }()
	p.Process.ZTS = p.Binary.ZTS
	p.finishConfine()
	if err := p.checkWorkerPHP(); err != nil {
		return nil, err
	}
	if p.Worker != nil {
		p.prepareScript()
	} else {
		p.prepareFunctions()
	}
	for _, warning := range p.Binary.Warnings {
		logger.Warn("php-cgi startup warning", zap.String("message", warning))
	}
	for _, s := range p.UnknownINI() {
		logger.Warn("ini setting is unknown to PHP; correct its name, load its extension, or remove it",
			zap.String("name", s.Name), zap.String("reason", UnknownReason(s)))
	}
	p.Settings = o.Settings(minAutoWorkers) // until Allocate is called
	return p, p.computeKey()
}

// errDetectTimeout returns the error of a php-cgi that did not finish in time.
func errDetectTimeout(limit time.Duration) error {
	return fmt.Errorf("php-cgi -i ran longer than %v: it hangs, or the machine is overloaded; "+
		"raise start_timeout if it needs more time", limit)
}

// binaryError adds the option binary, unless it is not set, to an error of php-cgi.
func binaryError(option string, err error) error {
	if option == "" {
		return err
	}
	if _, ok := errors.AsType[*phpbin.NotFoundError](err); ok { // its text says how to install one
		return fmt.Errorf("binary %s: %w, or write the name, path or version of an installed one", option, err)
	}
	return fmt.Errorf("binary %s: %w: write the name, path or version of an installed php-cgi", option, err)
}

// prepare fills in the options of the processes.
func (p *Plan) prepare(path string) error {
	o := p.Options
	p.Process = phpbin.Options{
		Binary: path, INIFile: o.INIFile, Env: o.environment(os.Environ()), Nice: valueOr(o.Nice, 0), NoNewPrivs: valueOr(o.NoNewPrivs, false),
		OOMScoreAdj: o.OOMScoreAdj, Handshake: fastcgi.HandshakeFunc(true), // until the version is known
	}
	if o.INIFile != "" {
		if err := readableFile(o.INIFile); err != nil {
			return fmt.Errorf("ini_file %s: %w: write the path of a php.ini that Caddy can read", o.INIFile, err)
		}
	}
	switch o.INIScanDir {
	case "":
	case noINIScanDir:
		p.Process.INIScanDir = new("")
	default:
		for _, dir := range filepath.SplitList(o.INIScanDir) {
			if dir == "" { // php-cgi's own
				continue
			}
			if err := readableDir(dir); err != nil {
				return fmt.Errorf("ini_scan_dir %s: %w: write a directory that Caddy can read", dir, err)
			}
		}
		p.Process.INIScanDir = &o.INIScanDir
	}
	for _, name := range slices.Sorted(maps.Keys(o.Rlimits)) {
		p.Process.Rlimits = append(p.Process.Rlimits,
			phpbin.Rlimit{Resource: name, Soft: o.Rlimits[name], Hard: o.Rlimits[name]})
	}
	if o.SpoolDir != "" {
		if err := readableDir(o.SpoolDir); err != nil {
			return fmt.Errorf("spool_dir %s: %w: write a directory that Caddy can read", o.SpoolDir, err)
		}
	}
	if err := p.prepareUser(); err != nil {
		return err
	}
	if err := p.isolate(); err != nil {
		return err
	}
	if err := p.prepareConfine(); err != nil {
		return err
	}
	if err := p.prepareUmask(); err != nil {
		return err
	}
	if err := p.prepareWorker(); err != nil {
		return err
	}
	if err := p.prepareINI(); err != nil {
		return err
	}
	return p.Process.Validate()
}

func (p *Plan) prepareUmask() error {
	mode := p.Options.Umask
	if mode == "" && p.Options.Isolates() && canRestrict {
		mode = isolatedUmask
	}
	if mode == "" {
		return nil
	}
	mask, err := strconv.ParseUint(mode, 8, 9)
	if err != nil {
		return err
	}
	umask := int(mask)
	p.Process.Umask = &umask
	return nil
}

// LogReady logs that workers of the plan run, with the values that were detected or
// chosen by default.
func (p *Plan) LogReady(logger *zap.Logger, elapsed time.Duration) {
	logger.Info("php-cgi is ready",
		zap.String("binary", p.Binary.Path), zap.String("version", p.Binary.VersionText),
		zap.String("php_ini", p.Binary.INIFile), zap.String("user", p.UserName()), zap.String("spawn", p.Spawn),
		zap.String("manager", string(p.Settings.Manager)), zap.Int("max_workers", p.Settings.MaxWorkers),
		zap.Duration("duration", elapsed))
}

// computeKey sets Key: a hash of everything that the processes depend on, including
// the current content of php-cgi and its ini files, so that an upgrade or an edited
// php.ini starts a new generation.
func (p *Plan) computeKey() error {
	o := p.Options
	input := struct {
		Spawn, Binary string
		Args, Environ []string
		User          *phpbin.Credential
		Umask         *int
		Nice          int
		NoNewPrivs    bool
		OOMScoreAdj   *int `json:",omitempty"`
		Rlimits       map[string]uint64
		INI           map[string]string
		Functions     Functions
		Worker        *WorkerPlan         `json:",omitempty"`
		Confine       *phpbin.Confinement `json:",omitempty"`
		Names         string              `json:",omitempty"` // beside what Confine hides
	}{
		Spawn: p.Spawn, Binary: p.Binary.ID(), Args: p.Process.Args(), Environ: p.Process.Environ(),
		User: p.Process.Credential, Umask: p.Process.Umask, Nice: p.Process.Nice, NoNewPrivs: p.Process.NoNewPrivs,
		OOMScoreAdj: p.Process.OOMScoreAdj,
		Rlimits:     o.Rlimits, INI: map[string]string{}, Functions: p.Functions,
		Worker: p.Worker,
	}
	if c := p.Process.Confine; c != nil {
		p.confineNames = c.Names()
		input.Confine, input.Names = c, p.confineNames
	}
	for _, path := range p.Binary.INIFiles() {
		file, err := p.readINI(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		input.INI[path] = file.sum
	}
	text, err := json.Marshal(input)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	p.Key = hex.EncodeToString(sum[:])
	return nil
}

// MayStartEmpty reports whether the pool may start without any worker: an ondemand
// pool without warmup.
func (p *Plan) MayStartEmpty() bool {
	return p.Settings.Manager == pool.OnDemand && len(p.Options.Warmup) == 0
}

// WithDetected returns a copy of p with php-cgi, the user, and everything else that
// fresh detected. Both must have the same options. Settings and Sizing stay those of p.
func (p *Plan) WithDetected(fresh *Plan) *Plan {
	plan := *p
	plan.Functions, plan.Worker = fresh.Functions, fresh.Worker
	plan.Binary, plan.Process, plan.User, plan.Confinement = fresh.Binary, fresh.Process, fresh.User, fresh.Confinement
	plan.Key, plan.Inputs, plan.privateDir, plan.confineNames = fresh.Key, fresh.Inputs, fresh.privateDir, fresh.confineNames
	return &plan
}

// inputStates returns the states of php-cgi, its ini files, and their directories.
func inputStates(b *phpbin.Binary) map[string]string {
	return FileStates(slices.Concat([]string{b.Path}, b.INIFiles(), b.INIDirs()))
}
