package poolcfg

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// siteBinding is what an isolated pool is for.
type siteBinding struct{ pool, root string }

func (o *Options) Isolates() bool { return ValueOr(o.Isolate, false) }

// BindToRoot fixes an isolated pool to the one site that it serves; root is what its
// handler has, and own says whether the pool is the handler's own.
//
// A root directive beside php_pool does not count: it sets a variable of each
// request. The Caddyfile adapter would tell of it (BlockState), but also of the
// one of another site (Caddy 2.11.9), which is the last thing wanted here.
func (o *Options) BindToRoot(pool, root string, own bool) error {
	if !o.Isolates() {
		return nil
	}
	if !own && pool == DefaultPool {
		return errors.New("isolate needs a pool of its own, and every php_pool without options shares this one: write name <name>")
	}
	if root == "" || strings.Contains(root, "{") {
		return fmt.Errorf("isolate needs a root that is known when the config is loaded, and %s is known with a request only: "+
			"write root <directory> in the block of php_pool", cmp.Or(root, "{http.vars.root}"))
	}
	path, err := caddy.FastAbs(root)
	if err != nil {
		return fmt.Errorf("isolate: finding the root %s: %w", root, err)
	}
	if filepath.Dir(path) == path {
		return fmt.Errorf("isolate with root %s would keep nothing from PHP: write the site's directory", path)
	}
	if strings.ContainsRune(path, os.PathListSeparator) {
		return fmt.Errorf("isolate: open_basedir cannot name the root %s, because of its %c: give the directory another name",
			path, os.PathListSeparator)
	}
	o.binding = siteBinding{pool, path}
	return nil
}

// CheckRoot reports whether one more handler may use the pool.
func (o *Options) CheckRoot(pool, root string) error {
	other := Options{Isolate: o.Isolate}
	if err := other.BindToRoot(pool, root, true); err != nil {
		return fmt.Errorf("pool %s: %w", pool, err)
	}
	if o.binding != other.binding {
		return fmt.Errorf("pool %s: isolate needs a pool of its own, and this one would serve both %s and %s: give each site a pool",
			pool, o.binding.root, other.binding.root)
	}
	return nil
}

// unsafeFunctions start programs, end other processes, or go round open_basedir:
// a program does not know of it, putenv gives the mail program a library to load
// (LD_PRELOAD), and a link may be turned between the check and the use.
const unsafeFunctions = "dl,exec,link,passthru,pcntl_exec,pcntl_fork,pcntl_forkx,pcntl_rfork,pcntl_unshare," +
	"popen,posix_kill,posix_mkfifo,proc_nice,proc_open,proc_terminate,putenv,shell_exec,symlink,system"

// isolatedUmask keeps what PHP writes from users that are in none of its groups.
const isolatedUmask = "027"

// isolationINI are the ini settings of isolate; admin_ini overrules each of them.
func (s *Plan) isolationINI() map[string]string {
	temp := s.privateSubdir("tmp")
	return map[string]string{
		"open_basedir":        s.Options.binding.root + string(os.PathListSeparator) + s.privateDir,
		"disable_functions":   unsafeFunctions,
		"enable_dl":           "0",
		"ffi.enable":          "0",
		"sys_temp_dir":        temp,
		"upload_tmp_dir":      temp,
		"soap.wsdl_cache_dir": temp,
		"session.save_path":   s.privateSubdir("sessions"),
		// Debian has a cron job do it, for its own directory only.
		"session.gc_probability": "1",
		"session.gc_divisor":     "1000",
	}
}

// isolate turns on what isolate stands for, unless the pool says otherwise.
func (s *Plan) isolate() error {
	o := s.Options
	if !o.Isolates() {
		return nil
	}
	name := url.QueryEscape(o.binding.pool) // no slash, and no colon for open_basedir
	if s.User != nil {
		name += "@" + fmt.Sprint(s.User.UID)
	}
	s.privateDir = filepath.Join(stateDir(), name)
	if strings.ContainsRune(s.privateDir, os.PathListSeparator) {
		return fmt.Errorf("isolate: open_basedir cannot name %s, because of its %c: run Caddy with another STATE_DIRECTORY",
			s.privateDir, os.PathListSeparator)
	}
	if o.NoNewPrivs == nil {
		s.Process.NoNewPrivs = canRestrict
	}
	if _, own := o.ProcessEnv["TMPDIR"]; !own {
		s.Process.Env = map[string]string{"TMPDIR": s.privateSubdir("tmp")}
		maps.Copy(s.Process.Env, o.ProcessEnv)
	}
	return nil
}

func (s *Plan) privateSubdir(name string) string { return filepath.Join(s.privateDir, name) }

// stateDir is where isolated pools keep uploads and sessions: they outlive Caddy,
// and are to be reached by users other than Caddy's.
func stateDir() string {
	const name = "php_pool"
	if dirs := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" { // systemd's StateDirectory=
		return filepath.Join(dirs[0], name)
	}
	if isRoot() {
		return filepath.Join("/var/lib", name)
	}
	return filepath.Join(caddy.AppDataDir(), name)
}

// CreateDirs makes the directories of an isolated pool. Those above the last are
// Caddy's, so that PHP can put nothing else in the place of what root gives away.
func (s *Plan) CreateDirs() error {
	if s.privateDir == "" {
		return nil
	}
	if err := os.MkdirAll(s.privateDir, 0o711); err != nil { //nolint:gosec // G301: PHP's user has to pass, and can list nothing
		return fmt.Errorf("isolate: making a directory for uploads and sessions: %w", err)
	}
	for _, dir := range []string{filepath.Dir(s.privateDir), s.privateDir} { // whatever the umask
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // G302: the same
			return fmt.Errorf("isolate: %w", err)
		}
	}
	for _, name := range []string{"tmp", "sessions"} {
		if err := s.createDir(s.privateSubdir(name)); err != nil {
			return fmt.Errorf("isolate: %w", err)
		}
	}
	if s.User == nil {
		return nil
	}
	if err := s.User.CheckTraverse(s.privateSubdir("tmp")); err != nil {
		return fmt.Errorf("isolate: uploads and sessions are to lie in %s, but %w", s.privateDir, err)
	}
	return nil
}

// createDir makes a directory that is PHP's alone.
func (s *Plan) createDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory: take it away", dir)
	}
	if c := s.Process.Credential; c != nil {
		if err := os.Lchown(dir, int(c.UID), int(c.GID)); err != nil {
			return err
		}
	}
	return nil
}
