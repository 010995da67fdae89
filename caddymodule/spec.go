package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// The ways to start workers.
const (
	spawnShared = "shared"
	spawnSingle = "single"
)

// plan is a pool as one config wants it: its options, and what was found out
// about the php-cgi they lead to.
type plan struct {
	options  *PoolOptions
	settings pool.Settings
	binary   *phpbin.Binary
	process  phpbin.Options
	spawn    string
	user     *unixUser // nil where PHP runs as Caddy does
	// privateSubdir is the directory of an isolated pool's own; "" where there is none.
	privateDir string
	// sizing is how max_workers auto came about; nil where it was given.
	sizing *sizing
	// key is equal for two specs whose processes see the same.
	key string
	// inputs is what the files behind the key were before they were read.
	inputs map[string]string
}

// phpLocator finds a php-cgi and asks it what it is: anew, or as one that remembers.
type phpLocator struct {
	find   func(spec string) (string, error)
	detect func(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error)
}

var uncached = phpLocator{phpbin.Find, phpbin.Detect}

// detectTimeout bounds the short runs of php-cgi that tell what it is.
const detectTimeout = 10 * time.Second

// newPlan finds and asks php-cgi. It starts no worker.
func newPlan(ctx context.Context, logger *zap.Logger, o *PoolOptions, ask phpLocator) (*plan, error) {
	s := &plan{options: o, spawn: o.Spawn}
	if s.spawn == "" {
		s.spawn = defaultSpawn
	}
	path, err := ask.find(o.Binary)
	if err != nil {
		return nil, binaryError(o.Binary, err)
	}
	if err := s.prepare(path); err != nil {
		return nil, err
	}
	probing, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	if s.binary, err = ask.detect(probing, path, s.detectOptions()); err != nil {
		return nil, binaryError(o.Binary, err)
	}
	s.process.ZTS = s.binary.ZTS
	for _, warning := range s.binary.Warnings {
		logger.Warn("php-cgi startup warning", zap.String("message", warning))
	}
	s.settings = o.settings(minAutoWorkers) // until the budget is known
	return s, s.computeKey()
}

// binaryError says which option led to a php-cgi that will not do.
func binaryError(option string, err error) error {
	if option == "" {
		return err
	}
	return fmt.Errorf("binary %s: %w: write the name, path or version of a php-cgi that is installed", option, err)
}

// prepare fills in what the processes see.
func (s *plan) prepare(path string) error {
	o := s.options
	s.process = phpbin.Options{
		Binary: path, INIFile: o.INIFile, Env: o.ProcessEnv, Nice: valueOr(o.Nice, 0), NoNewPrivs: valueOr(o.NoNewPrivs, false),
		OOMScoreAdj: o.OOMScoreAdj, Handshake: handshake,
	}
	if o.INIFile != "" {
		if err := readableFile(o.INIFile); err != nil {
			return fmt.Errorf("ini_file %s: %w: write the path of a php.ini that exists", o.INIFile, err)
		}
	}
	if o.INIScanDir != "" {
		if err := readableDir(o.INIScanDir); err != nil {
			return fmt.Errorf("ini_scan_dir %s: %w: write a directory that exists", o.INIScanDir, err)
		}
		s.process.INIScanDir = &o.INIScanDir
	}
	for _, name := range slices.Sorted(maps.Keys(o.Rlimits)) {
		s.process.Rlimits = append(s.process.Rlimits,
			phpbin.Rlimit{Resource: name, Soft: o.Rlimits[name], Hard: o.Rlimits[name]})
	}
	if o.SpoolDir != "" {
		if err := readableDir(o.SpoolDir); err != nil {
			return fmt.Errorf("spool_dir %s: %w: write a directory that exists", o.SpoolDir, err)
		}
	}
	if err := s.prepareUser(); err != nil {
		return err
	}
	if err := s.isolate(); err != nil {
		return err
	}
	if err := s.prepareUmask(); err != nil {
		return err
	}
	if err := s.prepareINI(); err != nil {
		return err
	}
	return s.process.Validate()
}

func (s *plan) prepareUmask() error {
	mode := s.options.Umask
	if mode == "" && s.options.isolates() && canRestrict {
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
	s.process.Umask = &umask
	return nil
}

// logReady logs what was chosen, and warns of a choice that is nobody's wish.
func (s *plan) logReady(logger *zap.Logger, took time.Duration) {
	fields := []zap.Field{
		zap.String("binary", s.binary.Path), zap.String("version", s.binary.VersionText),
		zap.String("php_ini", s.binary.INIFile), zap.String("user", s.userName()), zap.String("spawn", s.spawn),
		zap.String("manager", string(s.settings.Manager)), zap.Int("max_workers", s.settings.MaxWorkers),
		zap.Duration("duration", took),
	}
	logger.Info("php-cgi is ready", fields...)
}

// computeKey makes the key: what the processes see, with the binary and the ini
// files as they are now, so that an upgrade or an edited php.ini counts as a
// change.
func (s *plan) computeKey() error {
	o := s.options
	s.inputs = inputStates(s.binary)
	seen := struct {
		Spawn, Binary string
		Args, Environ []string
		Who           *phpbin.Credential
		Umask         *int
		Nice          int
		NoNewPrivs    bool
		OOMScoreAdj   *int `json:",omitempty"`
		Rlimits       map[string]uint64
		INI           map[string]string
	}{
		Spawn: s.spawn, Binary: s.binary.ID(), Args: s.process.Args(), Environ: s.process.Environ(),
		Who: s.process.Credential, Umask: s.process.Umask, Nice: s.process.Nice, NoNewPrivs: s.process.NoNewPrivs,
		OOMScoreAdj: s.process.OOMScoreAdj,
		Rlimits:     o.Rlimits, INI: map[string]string{},
	}
	for _, path := range s.binary.INIFiles() {
		sum, err := fileSum(path)
		if err != nil {
			return err
		}
		seen.INI[path] = sum
	}
	text, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	s.key = hex.EncodeToString(sum[:])
	return nil
}

// mayStartEmpty reports whether a pool can begin with no worker at all.
func (s *plan) mayStartEmpty() bool {
	return s.settings.Manager == pool.OnDemand && len(s.options.Warmup) == 0
}

// withDetected is s with what another spec found out about php-cgi.
func (s *plan) withDetected(fresh *plan) *plan {
	out := *s
	out.binary, out.process, out.user = fresh.binary, fresh.process, fresh.user
	out.key, out.inputs, out.privateDir = fresh.key, fresh.inputs, fresh.privateDir
	return &out
}

// inputStates says what the files that php-cgi starts from are at this moment:
// when one of them changes, a new generation is due.
func inputStates(b *phpbin.Binary) map[string]string {
	return fileStates(slices.Concat([]string{b.Path}, b.INIFiles(), b.INIDirs()))
}
