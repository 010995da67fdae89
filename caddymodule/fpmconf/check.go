package fpmconf

import (
	"fmt"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
)

// checker collects what is wrong with a pool.
type checker struct {
	pool     string
	v        *view
	problems []string
}

// Check returns why php-fpm would not start with these files, nothing if it would
// (fpm_conf_process_all_pools and fpm_unix_test_config in sapi/fpm/fpm).
func Check(c *Config, s *Serving) []string {
	problems := checkLines(c.Global, globalKinds, false)
	for _, p := range c.Pools {
		problems = append(problems, checkLines(p.Settings, poolKinds, true)...)
	}
	if len(problems) > 0 {
		return problems
	}
	if len(c.Pools) == 0 {
		return []string{"no pool is defined: add a section such as [www] to the configuration"}
	}
	problems = checkGlobal(viewOf(c.Global))
	addresses := map[string]string{}
	conv := &converter{config: c, serving: s}
	for _, p := range c.Pools {
		k := &checker{pool: p.Name, v: viewOf(p.Settings)}
		k.paths(conv)
		k.account(s)
		k.manager()
		k.pages()
		k.limits()
		for _, name := range []string{"listen", "pm.status_listen"} {
			listen := k.v.value(name)
			if listen == "" {
				continue
			}
			address, _ := conv.listenAddress(k.v, listen)
			if other, ok := addresses[address]; ok {
				k.addf("%s = %s is also an address of the pool %s", name, listen, other)
			}
			addresses[address] = p.Name
		}
		problems = append(problems, k.problems...)
	}
	return problems
}

func checkLines(settings []Setting, kinds map[string]kind, inPool bool) []string {
	var problems []string
	for i := range settings {
		s := &settings[i]
		if err := s.check(kinds, inPool); err != nil {
			problems = append(problems, fmt.Sprintf("[%s:%d] %s: %v", s.File, s.Line, printable(s.Text), err))
		}
	}
	return problems
}

// minLogLimit is the smallest log_limit (ZLOG_MIN_LIMIT).
const minLogLimit = 512

func checkGlobal(v *view) []string {
	k := &checker{v: v}
	if limit, ok := k.number("log_limit"); ok && limit < minLogLimit {
		k.addf("log_limit must be at least %d", minLogLimit)
	}
	if limit, _ := k.number("process.max"); limit < 0 {
		k.addf("process.max cannot be negative")
	}
	k.priority()
	return k.problems
}

func (k *checker) addf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if k.pool != "" {
		text = fmt.Sprintf("[pool %s] %s", k.pool, text)
	}
	k.problems = append(k.problems, text)
}

// number returns the value of a directive, and whether it has one.
func (k *checker) number(name string) (int, bool) {
	n, err := strconv.Atoi(k.v.value(name))
	return n, err == nil
}

func (k *checker) priority() {
	if n, ok := k.number("process.priority"); ok && (n < -19 || n > 20) {
		k.addf("process.priority must be between -19 and 20")
	}
}

// paths checks directories and addresses.
func (k *checker) paths(c *converter) {
	if k.v.value("listen") == "" {
		k.addf("no listen address is defined: add listen")
	}
	if prefix := k.v.value("prefix"); prefix != "" {
		k.directory("prefix", c.prefixOf(k.v))
	}
	chroot := k.v.value("chroot")
	if chroot != "" {
		k.directory("chroot", chroot)
	}
	if chdir := k.v.value("chdir"); chdir != "" {
		k.directory("chdir", path.Join(chroot, chdir))
	}
	if mode := k.v.value("listen.mode"); mode != "" {
		if _, err := strconv.ParseUint(mode, 8, 12); err != nil {
			k.addf("listen.mode = %s is not an octal number such as 0660", mode)
		}
	}
}

func (k *checker) directory(name, dir string) {
	if dir == "" || dir[0] != '/' {
		k.addf("%s: the path %s does not begin with /", name, dir)
		return
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		k.addf("%s: the path %s does not exist or is not a directory", name, dir)
	}
}

// account checks users and groups.
func (k *checker) account(s *Serving) {
	name, group := k.v.value("user"), k.v.value("group")
	if name == "" && s.Root && !s.RunAsRoot {
		k.addf("user is not defined: add user and group, or run with -R")
	}
	for _, directive := range []string{"user", "listen.owner"} {
		if value := k.v.value(directive); value != "" && !isID(value) {
			if _, err := user.Lookup(value); err != nil {
				k.addf("cannot get uid for user '%s'%s", value, ofSocket(directive))
			}
		}
	}
	for _, directive := range []string{"group", "listen.group"} {
		if value := k.v.value(directive); value != "" && !isID(value) {
			if _, err := user.LookupGroup(value); err != nil {
				k.addf("cannot get gid for group '%s'%s", value, ofSocket(directive))
			}
		}
	}
	if len(k.problems) == 0 && s.Root && !s.RunAsRoot && (isRootAccount(name) || isRootAccount(group)) {
		k.addf("user and group must not be root: write others, or run with -R")
	}
}

// ofSocket names a directive of the socket. The message is php-fpm's otherwise.
func ofSocket(directive string) string {
	if strings.HasPrefix(directive, "listen.") {
		return ": " + directive
	}
	return ""
}

// isID reports whether the name of a user or group is a number.
func isID(name string) bool { return strings.Trim(name, "0123456789") == "" }

func isRootAccount(name string) bool {
	return name == "root" || name != "" && strings.Trim(name, "0") == ""
}

// manager checks pm and its numbers.
func (k *checker) manager() {
	if k.v.value("pm") == "" {
		k.addf("pm is missing: write static, dynamic or ondemand")
	}
	workers, _ := k.number("pm.max_children")
	if workers < 1 {
		k.addf("pm.max_children must be a positive value")
	}
	switch strings.ToLower(k.v.value("pm")) {
	case "dynamic":
		k.dynamic(workers)
	case "ondemand":
		if timeout := k.v.value("pm.process_idle_timeout"); timeout != "" && duration(timeout) == "off" {
			k.addf("pm.process_idle_timeout must be greater than 0")
		}
	}
}

func (k *checker) dynamic(workers int) {
	least, _ := k.number("pm.min_spare_servers")
	most, _ := k.number("pm.max_spare_servers")
	start, _ := k.number("pm.start_servers")
	switch {
	case least < 1:
		k.addf("pm.min_spare_servers(%d) must be a positive value", least)
	case most < 1:
		k.addf("pm.max_spare_servers(%d) must be a positive value", most)
	case least > workers || most > workers:
		k.addf("pm.min_spare_servers(%d) and pm.max_spare_servers(%d) cannot be greater than pm.max_children(%d)", least, most, workers)
	case most < least:
		k.addf("pm.max_spare_servers(%d) must not be less than pm.min_spare_servers(%d)", most, least)
	case start > 0 && (start < least || start > most):
		k.addf("pm.start_servers(%d) must be between pm.min_spare_servers(%d) and pm.max_spare_servers(%d)", start, least, most)
	}
	if rate, ok := k.number("pm.max_spawn_rate"); ok && rate < 1 {
		k.addf("pm.max_spawn_rate must be a positive value")
	}
}

// pages checks the paths of the status page and of ping.
func (k *checker) pages() {
	for _, name := range []string{"pm.status_path", "ping.path"} {
		page := k.v.value(name)
		if page == "" {
			continue
		}
		other := strings.ContainsFunc(page, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_.~", r)
		})
		switch {
		case page[0] != '/':
			k.addf("%s = %s must begin with /", name, page)
		case len(page) < 2 && (name == "ping.path" || k.v.value("pm.status_listen") == ""):
			k.addf("%s = %s is too short", name, page)
		case other:
			k.addf("%s = %s must have letters, digits and /-_.~ only", name, page)
		}
	}
	if i, ok := k.v.counts["ping.response[]"]; ok && k.v.settings[i].Value == "" && k.v.value("ping.path") != "" {
		k.addf("ping.response is empty")
	}
}

// limits checks the timeouts and what belongs to the slow log.
func (k *checker) limits() {
	k.priority()
	slow, end := spanSeconds(k.v.value("request_slowlog_timeout")), spanSeconds(k.v.value("request_terminate_timeout"))
	if slow > 0 && end > 0 && slow > end {
		k.addf("request_slowlog_timeout (%d) cannot be greater than request_terminate_timeout (%d)", slow, end)
	}
	depth, _ := k.number("request_slowlog_trace_depth")
	if (slow > 0 || depth != 0) && k.v.value("slowlog") == "" {
		k.addf("slowlog must be specified for use with request_slowlog_timeout and request_slowlog_trace_depth")
	}
	if depth < 0 {
		k.addf("request_slowlog_trace_depth (%d) must be a positive value", depth)
	}
}

// spanSeconds returns a time of php-fpm in seconds.
func spanSeconds(value string) int {
	unit := 1
	switch {
	case strings.HasSuffix(value, "m"):
		unit = 60
	case strings.HasSuffix(value, "h"):
		unit = 3600
	case strings.HasSuffix(value, "d"):
		unit = 86400
	}
	n, _ := strconv.Atoi(strings.TrimRight(value, "smhd"))
	return n * unit
}
