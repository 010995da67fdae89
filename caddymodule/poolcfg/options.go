package poolcfg

import (
	"bytes"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
)

// Options configures one pool of php-cgi workers. All fields are optional: a
// field that is not set has its value from the `defaults` of the php_pool app, or
// else the default given here. -1 turns a limit or timeout off where the field
// says so, also one that `defaults` sets.
//
// In texts, Caddy's global placeholders ({env.*}, {file.*}, {system.*}, {time.*}) are
// replaced when the config is loaded. One without a value is an error.
//
// A generation is the set of workers that were started with the same settings.
// The fields from `binary` to `oom_score_adj`, and `spawn`, belong to the
// generation: when a reload changes them, new workers start, and the old ones
// finish their requests. All other fields take effect in the running workers.
type Options struct {
	// Which php-cgi to run: a path, a name to look up in PATH, or a version such
	// as `8.2`. Default: `php-cgi` in PATH, else the newest versioned one in PATH
	// (`php-cgi8.2`, `php-cgi83`, ...). The choice is logged.
	Binary string `json:"binary,omitempty"`

	// The php.ini to load (php-cgi's `-c`). Default: php-cgi's own, which on
	// Debian is /etc/php/X/cgi/php.ini, while php-fpm reads
	// /etc/php/X/fpm/php.ini.
	INIFile string `json:"ini_file,omitempty"`

	// The directory with additional *.ini files, which are loaded after php.ini.
	// `none` loads no such files. Several are separated as in PHP_INI_SCAN_DIR, by
	// colons or on Windows by semicolons; an empty one is php-cgi's own. Default:
	// php-cgi's own.
	INIScanDir string `json:"ini_scan_dir,omitempty"`

	// PHP settings by name (php-cgi's `-d`). They override all ini files;
	// `.user.ini` and `ini_set()` override them.
	INI map[string]string `json:"ini,omitempty"`

	// PHP settings by name that scripts cannot change, like php-fpm's
	// `php_admin_value`. They override all ini files, `ini`, `.user.ini` and
	// `ini_set()`. Every local user can read them in the process list, so do not
	// put passwords here.
	AdminINI map[string]string `json:"admin_ini,omitempty"`

	// Confines PHP to one site:
	//
	// - PHP can only open files in the site's root and in a private directory of
	// the pool for uploads, sessions and temporary files (`open_basedir`,
	// `upload_tmp_dir`, `session.save_path`, `sys_temp_dir`, TMPDIR).
	// - PHP cannot start programs (`disable_functions`, `enable_dl`, `ffi.enable`,
	// `no_new_privs`).
	// - Other users cannot read the files that PHP creates (`umask` 027).
	//
	// `admin_ini` and the options of these names override each of them. The
	// handler must set `root`, without placeholders, and sites with different
	// roots cannot share the pool. This is defense in depth: to separate
	// customers, give each one its own `user`. Default: false.
	Isolate *bool `json:"isolate,omitempty"`

	// Variables in the environment of php-cgi, in addition to PATH, LANG, TZ,
	// TMPDIR, HOME, USER and those of `inherit_env`.
	ProcessEnv map[string]string `json:"process_env,omitempty"`

	// Which variables of Caddy's environment PHP gets too, as patterns such as
	// `WORDPRESS_*`; a pattern that begins with `!` excludes variables. `*` is all
	// variables but those of systemd, of Caddy and of the login session. An empty
	// list, which overrides `defaults`, passes none. Default: none.
	InheritEnv []string `json:"inherit_env,omitzero"`

	// The user that PHP runs as: `user` or `user:group`. Another user than
	// Caddy's requires Caddy to run as root, or on Linux to have the capabilities
	// CAP_SETUID, CAP_SETGID and CAP_KILL. Default: `www-data`, or `nobody` if it
	// does not exist, where Caddy can start PHP as another user; else Caddy's
	// user. PHP runs as root only if this is set to `root`.
	User string `json:"user,omitempty"`

	// The file mode creation mask of the workers, in octal, such as `027`. Linux
	// only. Default: Caddy's; `027` with `isolate`.
	Umask string `json:"umask,omitempty"`

	// The nice value of the workers, from -20 to 19; 0 leaves that of Caddy. 1 to 19
	// gives PHP less CPU time than Caddy. Linux only. Default: 0.
	Nice *int `json:"nice,omitempty"`

	// Prevents workers and the programs they start from gaining privileges,
	// as by setuid and setgid programs. PHP's `mail()` often needs such a
	// program. Linux only. Default: false; true with `isolate`.
	NoNewPrivs *bool `json:"no_new_privs,omitempty"`

	// Keeps scripts that run as Caddy's own user from Caddy: its data and config
	// directories, the keys of its certificates, `$CREDENTIALS_DIRECTORY`, its
	// memory and environment, signals, and an admin endpoint on a TCP port. What
	// the kernel (Linux 5.13, by Landlock) cannot do is logged. It implies
	// `no_new_privs`. PHP that runs as another user is kept from the admin endpoint
	// on a TCP port if Caddy is root, and from nothing else. Default: true, unless
	// the kernel does not allow it, or mail() needs a setuid or setgid program.
	Confine *bool `json:"confine,omitempty"`

	// Resource limits of each worker, by the names of setrlimit(2) in lower case:
	// `nofile`, `core`, `cpu`, `as`, ... Linux only. Default: `core` is 0, the
	// others are Caddy's.
	Rlimits map[string]uint64 `json:"rlimits,omitempty"`

	// Which processes the kernel kills first when memory runs out: from -1000,
	// never, to 1000. A value below Caddy's own requires CAP_SYS_RESOURCE. Linux
	// only. Default: 500 above Caddy's own, so that workers are killed first.
	OOMScoreAdj *int `json:"oom_score_adj,omitempty"`

	// Starts a new generation when php.ini, another ini file that php-cgi has
	// read, a directory of such files, or php-cgi itself changes. They are
	// checked every second. Default: false.
	Watch *bool `json:"watch,omitempty"`

	// URIs to request, with GET, from the workers of a new generation before
	// clients use it, to fill its OPcache. A path is requested from every site
	// that uses the pool, a complete URL from its own site only. The requests
	// pass all of Caddy's handlers and come from localhost.
	Warmup []string `json:"warmup,omitempty"`

	// Rejects a new generation when a warmup request gets a 5xx status or crashes
	// its worker; the old generation stays active. Otherwise the failure is only
	// logged. Default: false.
	WarmupStrict *bool `json:"warmup_strict,omitempty"`

	// Defines `fastcgi_finish_request()`, which completes the response while the
	// script goes on, and `headers_send()`, which sends Early Hints, as php-fpm and
	// FrankenPHP do. The status shows how they are loaded, or why they are not.
	// Default: true.
	FinishRequest *bool `json:"finish_request,omitempty"`

	// How workers are started. `shared`: forked from one master, so that they
	// share one OPcache; Linux only. `single`: one process for each worker, with
	// its own OPcache. Default: `shared` on Linux, else `single`.
	Spawn string `json:"spawn,omitempty"`

	// How the number of workers is chosen, as in php-fpm's `pm`: `static`,
	// `dynamic` or `ondemand`. Default: `dynamic`; `static` if only `workers` is
	// set.
	Manager string `json:"manager,omitempty"`

	// The number of workers of a static pool.
	Workers int `json:"workers,omitempty"`

	// The maximum number of workers of a dynamic or ondemand pool. -1: computed
	// from memory and CPUs. Default: -1.
	MaxWorkers int `json:"max_workers,omitempty"`

	// The minimum number of workers of a dynamic pool, including busy ones; this
	// differs from php-fpm's `min_spare_servers`. Default: 1.
	MinWorkers *int `json:"min_workers,omitempty"`

	// The number of workers that a dynamic pool starts with. Default: 2, or
	// `min_workers` if that is more.
	StartWorkers int `json:"start_workers,omitempty"`

	// The maximum number of idle workers of a dynamic pool. Default: 4, or
	// `min_workers` if that is more.
	MaxSpare *int `json:"max_spare,omitempty"`

	// How long a worker above the minimum may be idle before it is stopped.
	// Default: 60s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// How long an ondemand pool keeps its master, and with it the OPcache, after
	// its last worker has stopped. 0: the master stops with the last worker.
	// Default: 10m.
	MasterIdleTimeout *caddy.Duration `json:"master_idle_timeout,omitempty"`

	// The number of requests after which a worker is replaced. -1: no limit.
	// Default: no limit.
	MaxRequests int `json:"max_requests,omitempty"`

	// A worker is replaced up to this many requests before `max_requests`, by a
	// random number, so that workers that started together are not replaced
	// together. Default: a tenth of `max_requests`.
	MaxRequestsJitter *int `json:"max_requests_jitter,omitempty"`

	// The age at which a worker is replaced. -1: no limit. Default: no limit.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// A worker is replaced if it has more than this many bytes of private memory
	// after a request. Linux only. -1: no limit. Default: no limit.
	MaxMemory int64 `json:"max_memory,omitempty"`

	// How often an idle worker is health-checked. -1: never. Default: 5s.
	HealthInterval caddy.Duration `json:"health_interval,omitempty"`

	// When requests for a path whose script crashes workers are rejected with 503.
	// Default: off.
	Quarantine *QuarantineOptions `json:"quarantine,omitempty"`

	// How long a worker, or a whole generation, may take to start. Requests that
	// arrive before the first worker is ready wait up to this long. So may the
	// short run of php-cgi that finds its version, but 10s at least. Default: 30s.
	StartTimeout caddy.Duration `json:"start_timeout,omitempty"`

	// The maximum wall-clock time of PHP for one request. When it expires, PHP
	// stops as at its `max_execution_time`, and 2 seconds later its process is
	// killed. A thread-safe PHP, and PHP on systems other than Linux, is killed at
	// once. The client gets 504. -1: no limit. Default: no limit.
	RequestTimeout caddy.Duration `json:"request_timeout,omitempty"`

	// How long a request may wait in the queue for a worker; after that the
	// client gets 503. Default: 30s.
	QueueTimeout caddy.Duration `json:"queue_timeout,omitempty"`

	// How long running requests may go on when Caddy stops. Caddy's systemd unit
	// allows 5s in total (`TimeoutStopSec`). Default: 4s.
	StopTimeout caddy.Duration `json:"stop_timeout,omitempty"`

	// The duration from which a request is logged as slow, with a PHP backtrace
	// where that is available. -1: never. Default: 5s.
	SlowRequest caddy.Duration `json:"slow_request,omitempty"`

	// The number of calls in the backtrace of a slow request, the innermost ones.
	// Default: 20.
	BacktraceDepth *int `json:"backtrace_depth,omitempty"`

	// The maximum number of requests in the queue; further ones get 503.
	// Default: 1024.
	MaxQueue *int `json:"max_queue,omitempty"`

	// The maximum number of workers that one client uses at a time. As many
	// further requests of the client wait; more of them get 429. A client is an
	// IPv4 address or an IPv6 /64 network, as in `{client_ip}`: behind a proxy,
	// set `trusted_proxies`, or all visitors count as one client. -1: no limit.
	// Default: no limit.
	MaxPerClient int `json:"max_per_client,omitempty"`

	// The directory for temporary files with request bodies that do not fit in
	// memory. Default: the system's directory for temporary files.
	SpoolDir string `json:"spool_dir,omitempty"`

	// The maximum number of bytes in these temporary files at a time, for the
	// whole pool; a request above it gets 413. -1: no limit. Default: no limit.
	SpoolMax int64 `json:"spool_max,omitempty"`

	// source has the options before their placeholders were replaced; see Reread.
	source *Options

	// binding is the site of an isolated pool; see BindToRoot.
	binding siteBinding

	// secrets lists what Confine keeps from PHP; nil confines nothing.
	secrets *Secrets

	// worker is the worker whose pool this is, nil for an ordinary pool; see ForWorker.
	worker *workerScript

	// release returns paths in a release that is not active yet; see InRelease. It may be
	// nil.
	release func(path string) string
}

// QuarantineOptions says when requests for a script at one path, whatever the
// query, are rejected because they crash workers.
type QuarantineOptions struct {
	// How many of these requests must crash their workers, while none succeeds.
	// 0 turns the quarantine off.
	Crashes int `json:"crashes"`

	// The time within which these crashes must occur. Default: 1m.
	Window caddy.Duration `json:"window,omitempty"`

	// How long these requests are then rejected. Default: 1m.
	Period caddy.Duration `json:"period,omitempty"`
}

// noINIScanDir is the value of ini_scan_dir for no directory.
const noINIScanDir = "none"

// DefaultPool is the name of the pool of handlers that name no pool and have no pool
// options.
const DefaultPool = "default"

// IsZero reports whether no option is set.
func (o *Options) IsZero() bool { return o == nil || o.Equal(new(Options)) }

// Equal reports whether the same options have the same values: whether both have the
// same JSON, and are for the same worker.
func (o *Options) Equal(other *Options) bool {
	x, err1 := json.Marshal(o)
	y, err2 := json.Marshal(other)
	return err1 == nil && err2 == nil && bytes.Equal(x, y) && o.worker.equal(other.worker)
}

// WatchesFiles reports whether the option watch is on.
func (o *Options) WatchesFiles() bool { return valueOr(o.Watch, false) }

// RequiresWarmup reports whether a generation whose warmup fails must not be used: the
// option warmup_strict.
func (o *Options) RequiresWarmup() bool { return valueOr(o.WarmupStrict, false) }

// Merge returns own with each option that is not set taken from defaults; maps are
// merged. Both may be nil. Global placeholders in the values are replaced. The error
// names a placeholder without a value, or is that of [Options.Validate].
func Merge(defaults, own *Options) (*Options, error) {
	merged := new(Options)
	for _, layer := range []*Options{defaults.withoutSizing(own), own} {
		if layer == nil {
			continue
		}
		text, err := json.Marshal(layer)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, merged); err != nil {
			return nil, err
		}
	}
	merged, err := merged.expand()
	if err != nil {
		return nil, err
	}
	if err := merged.Validate(); err != nil {
		return nil, err
	}
	return merged, nil
}

// withoutSizing returns the defaults for a pool with the options own: if own sets the
// manager or the size, the defaults' manager and sizes do not apply, because `workers 4`
// for all pools would contradict `manager ondemand` of one.
func (o *Options) withoutSizing(own *Options) *Options {
	if o == nil || own == nil || own.Manager == "" && own.Workers == 0 && own.MaxWorkers == 0 {
		return o
	}
	rest := *o
	rest.Manager, rest.Workers, rest.MaxWorkers, rest.StartWorkers = "", 0, 0, 0
	rest.MinWorkers, rest.MaxSpare, rest.IdleTimeout, rest.MasterIdleTimeout = nil, nil, 0, nil
	return &rest
}
