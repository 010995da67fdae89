package doctor

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unitDirs are the directories in which systemd looks for units, in their order of
// precedence (systemd.unit(5)).
var unitDirs = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
	"/lib/systemd/system",
}

// unit has the settings of Caddy's systemd unit.
type unit struct {
	path    string
	service map[string]string // of its section [Service], including drop-ins
}

// findUnit reads caddy.service and its drop-ins as systemd does; nil if it does
// not exist.
func findUnit(dirs []string) *unit {
	for _, dir := range dirs {
		path := filepath.Join(dir, "caddy.service")
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		u := &unit{path: path, service: map[string]string{}}
		u.read(string(text))
		for _, file := range dropIns(dirs) {
			if text, err := os.ReadFile(file); err == nil {
				u.read(string(text))
			}
		}
		return u
	}
	return nil
}

// dropIns lists the files that `systemctl edit caddy` and packages add, in the
// order in which systemd applies them. Of files with the same name only the one
// in the first directory counts.
func dropIns(dirs []string) []string {
	byName := map[string]string{}
	var names []string
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "caddy.service.d", "*.conf"))
		for _, file := range files {
			if name := filepath.Base(file); byName[name] == "" {
				byName[name] = file
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = byName[name]
	}
	return names
}

// read adds the section [Service] of a unit file; it overrides earlier settings.
func (u *unit) read(text string) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if section == "[Service]" && ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if name == ambientCapabilities && value != "" { // the lists are merged
				value = u.service[name] + " " + value
			}
			u.service[name] = value
		}
	}
}

// unit checks Caddy's systemd unit.
func (f *findings) unit(u *unit, pools []Pool) {
	if u == nil {
		return
	}
	switch mode := u.service["KillMode"]; mode {
	case "mixed", "process", "none":
		f.ok("%s has KillMode=%s", u.path, mode)
	default:
		f.note("run `systemctl edit caddy` and add KillMode=mixed in the section [Service]",
			"%s lacks KillMode=mixed: to stop Caddy systemd sends SIGTERM to PHP's workers too, which interrupts scripts that "+
				"sleep or wait for a lock", u.path)
	}
	if name := u.service["User"]; name != "" && !isUser(name) {
		f.note("run `sudo -u "+name+" caddy php-pool doctor`",
			"%s runs Caddy as %s, but doctor runs as another user: its findings about users and permissions may be wrong", u.path, name)
	}
	f.unitUser(u, pools)
	stop, ok := unitTime(u.service["TimeoutStopSec"])
	for i := range pools {
		if p := &pools[i]; ok && p.StopTimeout >= stop {
			f.note("set TimeoutStopSec to at least a second more than stop_timeout",
				"%s gives Caddy %v to stop, and pool %s gives its requests %v (stop_timeout)", u.path, stop, p.Name, p.StopTimeout)
		}
	}
	if yes := u.service["MemoryDenyWriteExecute"]; yes == "yes" || yes == "true" || yes == "1" || yes == "on" {
		f.problem("remove it, or write `ini pcre.jit 0` and `ini opcache.jit off`",
			"%s has MemoryDenyWriteExecute: PHP's JIT and its regular expressions fail", u.path)
	}
}

// ambientCapabilities is the setting with the capabilities of a Caddy that is not root.
const ambientCapabilities = "AmbientCapabilities"

// canSwitchUser reports whether the unit's Caddy can start PHP as another user.
func (u *unit) canSwitchUser() bool {
	has := strings.Fields(strings.ToUpper(u.service[ambientCapabilities]))
	for _, name := range []string{"CAP_SETUID", "CAP_SETGID", "CAP_KILL"} {
		if !slices.Contains(has, name) {
			return false
		}
	}
	return true
}

// unitUser reports pools with a user that the unit's Caddy, which is not root, cannot
// start PHP as.
func (f *findings) unitUser(u *unit, pools []Pool) {
	name := u.service["User"]
	if name == "" || name == "root" || name == "0" || u.canSwitchUser() {
		return
	}
	for i := range pools {
		if p := &pools[i]; p.SetsUser && p.User != name {
			f.problem("run `systemctl edit caddy` and paste the drop-in \"A user for each site\" of docs/operations.md, or remove user",
				"%s runs Caddy as %s, which cannot start PHP as %s (pool %s): Caddy will not start", u.path, name, p.User, p.Name)
		}
	}
}

// isUser reports whether this process runs as the user of that name or number.
func isUser(name string) bool {
	if u, err := user.Lookup(name); err == nil {
		name = u.Uid
	}
	return name == strconv.Itoa(os.Geteuid())
}

// unitTime parses the simple forms of systemd.time(7): 5, 5s, 2min.
func unitTime(text string) (time.Duration, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second, n > 0
	}
	d, err := time.ParseDuration(strings.Replace(text, "min", "m", 1))
	return d, err == nil && d > 0
}
