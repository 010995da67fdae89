package poolcfg

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
	SpawnShared = "shared"
	SpawnSingle = "single"
)

// Plan is a pool as one config wants it: its options, and what was found out
// about the php-cgi they lead to.
type Plan struct {
	Options  *Options
	Settings pool.Settings
	Binary   *phpbin.Binary
	Process  phpbin.Options
	Spawn    string
	User     *UnixUser // nil where PHP runs as Caddy does
	// privateSubdir is the directory of an isolated pool's own; "" where there is none.
	privateDir string
	// Sizing is how max_workers auto came about; nil where it was given.
	Sizing *Sizing
	// Key is equal for two specs whose processes see the same.
	Key string
	// Inputs is what the files behind the key were before they were read.
	Inputs map[string]string
}

// PHPLocator finds a php-cgi and asks it what it is: anew, or as one that remembers.
type PHPLocator struct {
	Find   func(spec string) (string, error)
	Detect func(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error)
}

var Uncached = PHPLocator{phpbin.Find, phpbin.Detect}

// detectTimeout bounds the short runs of php-cgi that tell what it is.
const detectTimeout = 10 * time.Second

// NewPlan finds and asks php-cgi. It starts no worker.
func NewPlan(ctx context.Context, logger *zap.Logger, o *Options, ask PHPLocator) (*Plan, error) {
	s := &Plan{Options: o, Spawn: o.Spawn}
	if s.Spawn == "" {
		s.Spawn = defaultSpawn
	}
	path, err := ask.Find(o.Binary)
	if err != nil {
		return nil, binaryError(o.Binary, err)
	}
	if err := s.prepare(path); err != nil {
		return nil, err
	}
	probing, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	if s.Binary, err = ask.Detect(probing, path, s.detectOptions()); err != nil {
		return nil, binaryError(o.Binary, err)
	}
	s.Process.ZTS = s.Binary.ZTS
	for _, warning := range s.Binary.Warnings {
		logger.Warn("php-cgi startup warning", zap.String("message", warning))
	}
	s.Settings = o.Settings(minAutoWorkers) // until the budget is known
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
func (s *Plan) prepare(path string) error {
	o := s.Options
	s.Process = phpbin.Options{
		Binary: path, INIFile: o.INIFile, Env: o.ProcessEnv, Nice: ValueOr(o.Nice, 0), NoNewPrivs: ValueOr(o.NoNewPrivs, false),
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
		s.Process.INIScanDir = &o.INIScanDir
	}
	for _, name := range slices.Sorted(maps.Keys(o.Rlimits)) {
		s.Process.Rlimits = append(s.Process.Rlimits,
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
	return s.Process.Validate()
}

func (s *Plan) prepareUmask() error {
	mode := s.Options.Umask
	if mode == "" && s.Options.Isolates() && canRestrict {
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
	s.Process.Umask = &umask
	return nil
}

// LogReady logs what was chosen, and warns of a choice that is nobody's wish.
func (s *Plan) LogReady(logger *zap.Logger, took time.Duration) {
	fields := []zap.Field{
		zap.String("binary", s.Binary.Path), zap.String("version", s.Binary.VersionText),
		zap.String("php_ini", s.Binary.INIFile), zap.String("user", s.UserName()), zap.String("spawn", s.Spawn),
		zap.String("manager", string(s.Settings.Manager)), zap.Int("max_workers", s.Settings.MaxWorkers),
		zap.Duration("duration", took),
	}
	logger.Info("php-cgi is ready", fields...)
}

// computeKey makes the key: what the processes see, with the binary and the ini
// files as they are now, so that an upgrade or an edited php.ini counts as a
// change.
func (s *Plan) computeKey() error {
	o := s.Options
	s.Inputs = inputStates(s.Binary)
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
		Spawn: s.Spawn, Binary: s.Binary.ID(), Args: s.Process.Args(), Environ: s.Process.Environ(),
		Who: s.Process.Credential, Umask: s.Process.Umask, Nice: s.Process.Nice, NoNewPrivs: s.Process.NoNewPrivs,
		OOMScoreAdj: s.Process.OOMScoreAdj,
		Rlimits:     o.Rlimits, INI: map[string]string{},
	}
	for _, path := range s.Binary.INIFiles() {
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
	s.Key = hex.EncodeToString(sum[:])
	return nil
}

// MayStartEmpty reports whether a pool can begin with no worker at all.
func (s *Plan) MayStartEmpty() bool {
	return s.Settings.Manager == pool.OnDemand && len(s.Options.Warmup) == 0
}

// WithDetected is s with what another spec found out about php-cgi.
func (s *Plan) WithDetected(fresh *Plan) *Plan {
	out := *s
	out.Binary, out.Process, out.User = fresh.Binary, fresh.Process, fresh.User
	out.Key, out.Inputs, out.privateDir = fresh.Key, fresh.Inputs, fresh.privateDir
	return &out
}

// inputStates says what the files that php-cgi starts from are at this moment:
// when one of them changes, a new generation is due.
func inputStates(b *phpbin.Binary) map[string]string {
	return FileStates(slices.Concat([]string{b.Path}, b.INIFiles(), b.INIDirs()))
}
