package fpmconf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// setting converts one line.
func (c *converter) setting(b *block, s *Setting, v *view) {
	switch {
	case s.err != nil:
		c.lose(b, s, s.err.Error())
	case s.Key != "" && (arrays[s.Name] == "ini" || arrays[s.Name] == "admin_ini"):
		c.ini(b, s, v)
	case s.Key != "" && s.Name == "env":
		c.env(b, s)
	case s.Name == "access.suppress_path":
		c.drop(b, s)
	case s.Key != "":
		c.lose(b, s, "php-fpm has no such directive")
	default:
		c.directive(b, s, v)
	}
}

// directive converts a line without a key.
func (c *converter) directive(b *block, s *Setting, v *view) {
	switch s.Name {
	case "listen":
	case "pm", "pm.max_children", "pm.start_servers", "pm.max_spare_servers", "pm.process_idle_timeout":
		c.manager(b, s, v)
	case "user", "group":
		c.user(b, s, v)
	case "rlimit_core":
		c.number(b, s, func(n string) { b.options = append(b.options, "rlimit_core "+n) })
	case "rlimit_files":
		c.number(b, s, func(n string) {
			if n == "0" {
				c.comment(b, s, "left out, because 0 leaves the limit as it is")
				return
			}
			b.option(s, n)
		})
	case "process.priority", "pm.max_requests":
		c.number(b, s, func(n string) { b.option(s, n) })
	case "request_slowlog_trace_depth":
		c.number(b, s, func(n string) {
			if n == "0" || n[0] == '-' {
				c.comment(b, s, "left out, because backtraces have at most 1000 calls; the default is 20")
				return
			}
			b.option(s, n)
		})
	case "process.max":
		c.total(b, s)
	case "listen.backlog":
		c.number(b, s, func(n string) {
			if n == "0" || n[0] == '-' {
				c.comment(b, s, "left out, because the default of max_queue is enough")
				return
			}
			b.option(s, n)
		})
	case "process_control_timeout", "request_terminate_timeout", "request_slowlog_timeout":
		c.time(b, s)
	case "security.limit_extensions":
		c.extensions(b, s)
	case "clear_env", "catch_workers_output":
		c.toggle(b, s)
	case "syslog.facility", "syslog.ident": // settings of PHP have these names, too
		c.comment(b, s, "write output in Caddy's option log")
	case "error_log":
		c.comment(b, s, "left out, because php-fpm's messages are in Caddy's log, in the logger php_pool.pool")
	case "prefix":
		c.comment(b, s, "left out, because the paths below it are written whole")
	case "chroot", "apparmor_hat":
		if s.Value == "" {
			c.drop(b, s)
			return
		}
		if s.Name == "chroot" && c.serving != nil && !c.serving.Root {
			c.comment(b, s, "left out, because php-fpm ignores it too when it does not run as root")
			return
		}
		c.lose(b, s, strings.TrimPrefix(Remedy(s.Name, []string{s.Value}), "remove it, or "))
	default:
		if !Known(s.Name) {
			c.lose(b, s, "php-fpm has no such directive")
			return
		}
		c.drop(b, s)
	}
}

// number converts a line with a whole number.
func (c *converter) number(b *block, s *Setting, use func(n string)) {
	n, ok := number(s.Value)
	if s.Name == "rlimit_core" && s.Value == "unlimited" {
		n, ok = s.Value, true
	}
	if !ok || s.Name == "rlimit_core" && n[0] == '-' {
		c.lose(b, s, "it is not a number that php-fpm takes")
		return
	}
	use(text(n))
}

// total converts process.max, which is an option of all pools.
func (c *converter) total(b *block, s *Setting) {
	c.number(b, s, func(n string) {
		switch {
		case !b.global || n[0] == '-':
			c.lose(b, s, "php-fpm takes it in [global] only, and no number below 0")
		case n == "0":
			c.comment(b, s, "left out, because 0 is no limit")
		default:
			b.options = append(b.options, "max_workers_total "+n)
		}
	})
}

// manager converts the lines of pm and its numbers.
func (c *converter) manager(b *block, s *Setting, v *view) {
	pm := strings.ToLower(v.value("pm"))
	unused := func(only string) bool {
		if pm == only {
			return false
		}
		c.comment(b, s, fmt.Sprintf("left out, because php-fpm has no use for it with pm = %s either", pm))
		return true
	}
	switch s.Name {
	case "pm":
		switch {
		case pm == "ondemand":
			b.options = append(b.options, "manager ondemand")
		case pm != "static" && pm != "dynamic":
			c.lose(b, s, "php-fpm has no such manager")
		}
	case "pm.max_children":
		option := "max_workers "
		if pm == "static" {
			option = "workers "
		}
		c.number(b, s, func(n string) { b.options = append(b.options, option+n) })
	case "pm.process_idle_timeout":
		if !unused("ondemand") {
			c.time(b, s)
		}
	case "pm.start_servers":
		if !unused("dynamic") {
			c.number(b, s, func(n string) {
				if n == "0" {
					c.comment(b, s, "left out, because the default of start_workers is enough")
					return
				}
				b.option(s, n)
			})
		}
	default:
		if !unused("dynamic") {
			c.number(b, s, func(n string) { b.option(s, n) })
		}
	}
}

// seconds matches a time of php-fpm.
var seconds = regexp.MustCompile(`^\d+[smhd]?$`)

// time converts a line with a time.
func (c *converter) time(b *block, s *Setting) {
	switch {
	case strings.Contains(s.Value, mark) && strings.Trim(s.Value, mark) != "" && strings.HasSuffix(s.Value, mark):
		b.option(s, s.Value+"s")
		c.comment(b, s, "the variable has to be a number of seconds")
	case !seconds.MatchString(s.Value):
		c.lose(b, s, "it is not a time that php-fpm takes")
	case duration(s.Value) == "off" && s.Name != "request_terminate_timeout" && s.Name != "request_slowlog_timeout":
		c.comment(b, s, "left out, because the default of php_pool is better than 0")
	default:
		b.option(s, s.Value)
	}
}

// user converts user and group, which are one option.
func (c *converter) user(b *block, s *Setting, v *view) {
	user, group := v.value("user"), v.value("group")
	switch {
	case c.serving != nil && !c.serving.Root:
		c.comment(b, s, "left out, because php-fpm ignores it too when it does not run as root")
	case user == "" && group != "":
		c.lose(b, s, "it has no user: write user <user>:"+group)
	case s.Value == "":
		c.comment(b, s, "left out, because it is empty")
	case s.Name == "user":
		if group != "" {
			user += ":" + group
		}
		if value, ok := token(user); ok {
			b.options = append(b.options, "user "+value)
		} else {
			c.lose(b, s, "a Caddyfile cannot have this value")
		}
	}
}

// extensions converts security.limit_extensions, which is an option of sites. Without
// it php_pool runs .php only.
func (c *converter) extensions(b *block, s *Setting) {
	list := strings.Fields(s.Value)
	if c.serving != nil {
		return // the listener has it
	}
	if len(list) == 0 {
		c.comment(b, s, "left out, because php_pool needs a list; it runs .php only")
		return
	}
	if strings.Contains(s.Value, mark) {
		c.lose(b, s, "write split with these extensions in each site")
		return
	}
	b.split = list
	if !slices.Contains(list, ".php") {
		b.narrow = s
	}
	if !slices.Equal(list, []string{".php"}) {
		c.drop(b, s)
	}
}

// toggle converts the directives that are yes or no.
func (c *converter) toggle(b *block, s *Setting) {
	on, ok := parseBool(s.Value)
	switch {
	case !ok:
		c.lose(b, s, "it is neither yes nor no")
	case s.Name == "clear_env" && !on:
		b.options = append(b.options, "process_env inherit")
	default:
		reason := switches[s.Name][on]
		if left, ok := strings.CutPrefix(reason, "remove it, "); ok {
			reason = "left out, " + left
		}
		c.comment(b, s, reason)
	}
}

// env converts env[X] = y. php-fpm replaces a value that begins with $ by a variable of
// the environment.
func (c *converter) env(b *block, s *Setting) {
	value, ok := token(s.Value)
	if name, variable := strings.CutPrefix(s.Value, "$"); variable {
		if c.config.env == nil && (strings.Contains(name, mark) || !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name)) {
			c.comment(b, s, "left out, because php-fpm does not set it either: no variable has this name")
			return
		}
		value = "{env." + name + "}"
		if c.config.env != nil {
			value, ok = token(c.config.env(name))
		}
	}
	c.pair(b, s, "process_env", value, ok)
}

// pair adds an option that has a name and a value.
func (c *converter) pair(b *block, s *Setting, option, value string, ok bool) {
	key, keyOK := token(s.Key)
	if !ok || !keyOK {
		c.lose(b, s, "a Caddyfile cannot have this value")
		return
	}
	b.options = append(b.options, option+" "+key+" "+value)
}
