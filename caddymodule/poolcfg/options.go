package poolcfg

import (
	"bytes"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
)

// Options configures one pool of php-cgi workers. Every field can be left
// out.
//
// What the processes see (binary, ini files and settings, environment, user,
// spawn) belongs to a generation: changing it in a reload starts new workers
// beside the old ones, which finish their requests. All other fields act on
// the running pool.
type Options struct {
	// Which php-cgi to run: a path, a name to look for in PATH, or a version
	// such as `8.2`. Default: `php-cgi` in PATH, else the newest versioned one
	// (`php-cgi8.2`, `php-cgi83`, ...). The choice is logged.
	Binary string `json:"binary,omitempty"`

	// The php.ini to load instead of php-cgi's own (`-c`). Note that Debian's
	// php-cgi reads /etc/php/X/cgi/php.ini where php-fpm read
	// /etc/php/X/fpm/php.ini.
	INIFile string `json:"ini_file,omitempty"`

	// The directory whose *.ini files are loaded after php.ini, instead of
	// php-cgi's own.
	INIScanDir string `json:"ini_scan_dir,omitempty"`

	// Single settings that win over every ini file (`-d`), but not over
	// .user.ini and ini_set().
	INI map[string]string `json:"ini,omitempty"`

	// Settings that scripts cannot undo: they win over every ini file, `ini`,
	// .user.ini and ini_set(), as php_admin_value of php-fpm does. They are part
	// of php-cgi's command line, which every local user can see: no place for
	// passwords.
	AdminINI map[string]string `json:"admin_ini,omitempty"`

	// Keeps PHP to one site: what it may open is the site's root and a directory
	// of the pool's own for uploads, sessions and temporary files
	// (`open_basedir`, `upload_tmp_dir`, `session.save_path`, `sys_temp_dir`,
	// TMPDIR); it may not start programs (`disable_functions`, `enable_dl`,
	// `ffi.enable`, `no_new_privs`); what it writes is not for others (`umask`
	// 027). Each can be overruled: settings by `admin_ini`, the rest by the
	// option of that name. Needs a root without placeholders and a pool that no
	// other root shares. It is a fence; the wall between two customers is a
	// `user` each.
	Isolate *bool `json:"isolate,omitempty"`

	// What php-cgi's own environment holds besides PATH, LANG, TZ, TMPDIR and
	// HOME. Nothing else of Caddy's environment reaches PHP.
	ProcessEnv map[string]string `json:"process_env,omitempty"`

	// The user, or `user:group`, that PHP runs as. Needs Caddy to run as root.
	// Default: Caddy's own user; when that is root, `www-data`, else `nobody`.
	// `root` has to be spelled out.
	User string `json:"user,omitempty"`

	// The file mode creation mask of the workers, in octal.
	Umask string `json:"umask,omitempty"`

	// Added to the workers' nice value: 1 to 19 gives them less of the
	// processor than Caddy gets.
	Nice *int `json:"nice,omitempty"`

	// Forbids the workers and what they start to gain privileges. PHP's mail()
	// often needs a setgid helper, so it is off unless asked for, or `isolate`
	// is on.
	NoNewPrivs *bool `json:"no_new_privs,omitempty"`

	// Resource limits of each worker, by the names of setrlimit(2) in lower
	// case: `nofile`, `core`, `cpu`, `as`, ...
	Rlimits map[string]uint64 `json:"rlimits,omitempty"`

	// How readily the kernel ends the workers when memory runs out, -1000 to
	// 1000. Below Caddy's own it takes CAP_SYS_RESOURCE. Default: 500 above
	// Caddy's own, so that they go first.
	OOMScoreAdj *int `json:"oom_score_adj,omitempty"`

	// Starts a new generation when php.ini, another ini file that php-cgi has
	// read, a directory of such files, or php-cgi itself changes. They are
	// looked at every second.
	Watch *bool `json:"watch,omitempty"`

	// What is requested, by GET, from the workers of a new generation before
	// it serves anybody else, so that its OPcache is warm: paths, for each site
	// that uses the pool, or whole URLs for a certain one. The requests go
	// through Caddy as if they had come from this machine.
	Warmup []string `json:"warmup,omitempty"`

	// Whether a warm-up that is answered with a 5xx status, or that a worker
	// does not survive, refuses the new generation, so that the old one stays.
	// Else it is only logged.
	WarmupStrict *bool `json:"warmup_strict,omitempty"`

	// How workers are started: `shared`, forked from one master with one
	// OPcache (Linux, the default there), or `single`, one process each (every
	// platform).
	Spawn string `json:"spawn,omitempty"`

	// How many workers there are, and when, in php-fpm's terms: `static`,
	// `dynamic` (the default) or `ondemand`.
	Manager string `json:"manager,omitempty"`

	// How many workers a static pool has. Giving only this makes the pool
	// static.
	Workers int `json:"workers,omitempty"`

	// The most workers of a dynamic or ondemand pool. -1 or nothing: from
	// memory and CPUs.
	MaxWorkers int `json:"max_workers,omitempty"`

	// The fewest workers of a dynamic pool, busy ones counted (this is not
	// php-fpm's min_spare_servers). Default: 1.
	MinWorkers *int `json:"min_workers,omitempty"`

	// How many workers a dynamic pool starts with. Default: 2.
	StartWorkers int `json:"start_workers,omitempty"`

	// The most idle workers that a dynamic pool keeps. Default: 4.
	MaxSpare *int `json:"max_spare,omitempty"`

	// How long a worker above the minimum may be idle. Default: 60s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// How long an ondemand pool keeps its master, and with it the OPcache,
	// after the last worker. 0 ends it with that worker. Default: 10m.
	MasterIdleTimeout *caddy.Duration `json:"master_idle_timeout,omitempty"`

	// How many requests a worker serves before it is replaced. -1 or nothing:
	// no limit.
	MaxRequests int `json:"max_requests,omitempty"`

	// Up to how many requests earlier a worker may be replaced, so that workers
	// started together do not retire together. Default: a tenth of
	// max_requests.
	MaxRequestsJitter *int `json:"max_requests_jitter,omitempty"`

	// How long a worker lives. Negative or nothing: no limit.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// How many bytes of memory a worker may have for itself when a request
	// ends. -1 or nothing: no limit.
	MaxMemory int64 `json:"max_memory,omitempty"`

	// How often an idle worker is asked whether it lives. Negative: never.
	// Default: 5s.
	HealthInterval caddy.Duration `json:"health_interval,omitempty"`

	// A script that kills as many workers as this within the window, with no
	// run between them that went well, is not run for the period. Default: 3 within 1m for 1m; 0 deaths turns it off.
	Quarantine *QuarantineOptions `json:"quarantine,omitempty"`

	// How long a worker, or a whole generation, may take to start; so long do
	// early requests wait. Default: 30s.
	StartTimeout caddy.Duration `json:"start_timeout,omitempty"`

	// How long PHP may run for one request, by the clock on the wall. At the
	// end PHP is told to stop as by its own time limit; two seconds later its
	// process is killed. The client gets 504. Negative or nothing: no limit.
	RequestTimeout caddy.Duration `json:"request_timeout,omitempty"`

	// How long a request waits for a worker before it is answered 503.
	// Default: 30s.
	QueueTimeout caddy.Duration `json:"queue_timeout,omitempty"`

	// How long running requests get when Caddy stops. systemd gives Caddy's
	// unit 5s. Default: 4s.
	StopTimeout caddy.Duration `json:"stop_timeout,omitempty"`

	// From when on a request is logged as slow. Negative: never. Default: 5s.
	SlowRequest caddy.Duration `json:"slow_request,omitempty"`

	// How many requests may wait for a worker; one more is answered 503.
	// Default: 1024.
	MaxQueue *int `json:"max_queue,omitempty"`

	// How many workers one client may have at a time; as many requests more of
	// it wait for these, and one more is answered 429. A client is an address
	// as Caddy's {client_ip} has it (so behind a proxy set trusted_proxies, or
	// all visitors are one), of IPv6 its /64. -1 or nothing: no limit.
	MaxPerClient int `json:"max_per_client,omitempty"`

	// Where request bodies are kept that do not fit in memory. Default: the
	// system's directory for temporary files.
	SpoolDir string `json:"spool_dir,omitempty"`

	// How many bytes of request bodies may be kept there at a time for the
	// whole pool. -1 or nothing: no limit.
	SpoolMax int64 `json:"spool_max,omitempty"`

	// binding is what an isolated pool is for.
	binding siteBinding
}

// QuarantineOptions says when a script that kills workers is put aside.
type QuarantineOptions struct {
	// How many workers it has to kill; 0 turns the quarantine off.
	Deaths int `json:"deaths"`
	// Within which time. Default: 1m.
	Window caddy.Duration `json:"window,omitempty"`
	// For how long it is not run. Default: 1m.
	Period caddy.Duration `json:"period,omitempty"`
}

// IsZero reports whether nothing was set.
func (o *Options) IsZero() bool { return o == nil || EqualJSON(*o, Options{}) }

// EqualJSON compares two configs as they would be written.
func EqualJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

const DefaultPool = "default"

// withoutSizing are the defaults without their size where a pool names one of its own:
// `workers 4` for every pool must not stand against a `manager ondemand`.
func (o *Options) withoutSizing(own *Options) *Options {
	if o == nil || own == nil || own.Manager == "" && own.Workers == 0 && own.MaxWorkers == 0 {
		return o
	}
	rest := *o
	rest.Manager, rest.Workers, rest.MaxWorkers, rest.StartWorkers = "", 0, 0, 0
	rest.MinWorkers, rest.MaxSpare, rest.IdleTimeout, rest.MasterIdleTimeout = nil, nil, 0, nil
	return &rest
}

// Off is how `index off` turns routing off.
const Off = "off"

// Merge returns own with everything that it leaves out taken from
// defaults, and validates the result. Both may be nil.
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
	if err := merged.Validate(); err != nil {
		return nil, err
	}
	return merged, nil
}
