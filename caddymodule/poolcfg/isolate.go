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

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// siteBinding is the only site that may use an isolated pool: the name of the pool and
// the root of the site.
type siteBinding struct{ pool, root string }

// Isolates reports whether the option isolate is on.
func (o *Options) Isolates() bool { return valueOr(o.Isolate, false) }

// BindToRoot binds an isolated pool to the root of a site, for open_basedir. It does
// nothing if the pool is not isolated. own is true if the pool's options are part of
// the handler. The error says why the pool cannot be isolated for that root.
//
// A root directive outside of php_pool does not count, because it sets a variable for
// each request. The Caddyfile adapter could pass it on (BlockState), but up to Caddy
// 2.11.9 also the root of another site.
func (o *Options) BindToRoot(pool, root string, own bool) error {
	if !o.Isolates() {
		return nil
	}
	if !own && pool == DefaultPool {
		return errors.New("isolate needs a pool that no other site uses, but every php_pool without options uses this one: write name <name>")
	}
	if !strings.Contains(root, "{http.") {
		var err error
		if root, err = Expand("root", root); err != nil {
			return fmt.Errorf("isolate: %w", err)
		}
	}
	if root == "" || strings.Contains(root, "{") {
		return fmt.Errorf("isolate needs a root that is the same for all requests, but %s depends on the request: "+
			"write root <directory> in the block of php_pool", cmp.Or(root, "{http.vars.root}"))
	}
	path, err := caddy.FastAbs(root)
	if err != nil {
		return fmt.Errorf("isolate: finding the root %s: %w", root, err)
	}
	if filepath.Dir(path) == path {
		return fmt.Errorf("isolate with root %s would allow PHP to open all files: write the site's directory", path)
	}
	if strings.ContainsRune(path, os.PathListSeparator) {
		return fmt.Errorf("isolate: the root %s contains %c, which separates paths in open_basedir: rename the directory",
			path, os.PathListSeparator)
	}
	o.binding = siteBinding{pool, path}
	return nil
}

// CheckRoot returns an error if another handler, with this root, must not use the pool:
// an isolated pool has only one root.
func (o *Options) CheckRoot(pool, root string) error {
	other := Options{Isolate: o.Isolate}
	if err := other.BindToRoot(pool, root, true); err != nil {
		return fmt.Errorf("pool %s: %w", pool, err)
	}
	if o.binding != other.binding {
		return fmt.Errorf("pool %s: isolate allows one root per pool, but this pool is used with %s and %s: give each site its own pool",
			pool, o.binding.root, other.binding.root)
	}
	return nil
}

// unsafeFunctions start programs, kill other processes, leave the process group or the
// namespaces in which the pool is, or evade open_basedir: it does
// not apply to programs, putenv can make the mail program load a library
// (LD_PRELOAD), and a link can change between PHP's check and the use of the file.
const unsafeFunctions = "dl,exec,link,passthru,pcntl_exec,pcntl_fork,pcntl_forkx,pcntl_rfork,pcntl_setns," +
	"pcntl_setpriority,pcntl_unshare,popen,posix_kill,posix_mkfifo,posix_mknod,posix_setpgid,posix_setsid," +
	"proc_nice,proc_open,proc_terminate,putenv,shell_exec,symlink,system"

// isolatedUmask makes files that PHP writes inaccessible to users outside of its groups.
const isolatedUmask = "027"

// isolationINI returns the ini settings of isolate; admin_ini can override each of them.
func (p *Plan) isolationINI() map[string]string {
	temp := p.privateSubdir("tmp")
	return map[string]string{
		"open_basedir":        p.Options.binding.root + string(os.PathListSeparator) + p.privateDir,
		"disable_functions":   unsafeFunctions,
		"enable_dl":           "0",
		"ffi.enable":          "0",
		"sys_temp_dir":        temp,
		"upload_tmp_dir":      temp,
		"soap.wsdl_cache_dir": temp,
		"session.save_path":   p.privateSubdir("sessions"),
		// Debian turns this off, because a cron job cleans up its own directory.
		"session.gc_probability": "1",
		"session.gc_divisor":     "1000",
	}
}

// isolate applies the parts of the option isolate that are not ini settings, unless
// another option sets them explicitly.
func (p *Plan) isolate() error {
	o := p.Options
	if !o.Isolates() {
		return nil
	}
	name := url.QueryEscape(o.binding.pool) // no slash, and no colon for open_basedir
	if p.User != nil {
		name += "@" + fmt.Sprint(p.User.UID)
	}
	p.privateDir = filepath.Join(stateDir(), name)
	if strings.ContainsRune(p.privateDir, os.PathListSeparator) {
		return fmt.Errorf("isolate: %s contains %c, which separates paths in open_basedir: run Caddy with another STATE_DIRECTORY",
			p.privateDir, os.PathListSeparator)
	}
	if o.NoNewPrivs == nil {
		p.Process.NoNewPrivs = canRestrict
	}
	if _, ok := o.ProcessEnv["TMPDIR"]; !ok {
		env := map[string]string{"TMPDIR": p.privateSubdir("tmp")}
		maps.Copy(env, p.Process.Env)
		p.Process.Env = env
	}
	return nil
}

func (p *Plan) privateSubdir(name string) string { return filepath.Join(p.privateDir, name) }

// stateDir returns the directory for uploads and sessions of isolated pools. They
// outlive Caddy, and users other than Caddy's must be able to reach them.
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

// CreateDirs creates the private directories of an isolated pool, and does nothing for
// other pools. Their parent directories stay owned by Caddy, so that PHP cannot replace
// a directory that root is about to chown.
func (p *Plan) CreateDirs() error {
	if p.privateDir == "" {
		return nil
	}
	if err := os.MkdirAll(p.privateDir, 0o711); err != nil { //nolint:gosec // G301: PHP's user must be able to enter it, but cannot list it
		return fmt.Errorf("isolate: creating a directory for uploads and sessions: %w", err)
	}
	for _, dir := range []string{filepath.Dir(p.privateDir), p.privateDir} { // independent of the umask
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // G302: the same
			return fmt.Errorf("isolate: %w", err)
		}
	}
	for _, name := range []string{"tmp", "sessions"} {
		if err := p.createDir(p.privateSubdir(name)); err != nil {
			return fmt.Errorf("isolate: %w", err)
		}
	}
	if p.User == nil {
		return nil
	}
	if err := p.User.CheckTraverse(p.privateSubdir("tmp")); err != nil {
		return fmt.Errorf("isolate: PHP cannot use %s for uploads and sessions: %w", p.privateDir, err)
	}
	return nil
}

// createDir creates a directory that only PHP's user can use.
func (p *Plan) createDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory: remove it", dir)
	}
	if c := p.Process.Credential; c != nil {
		if err := phpbin.Grant(dir, c); err != nil {
			return err
		}
	}
	return nil
}
