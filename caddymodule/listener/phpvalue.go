package listener

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// Web servers send PHP settings in PHP_VALUE and PHP_ADMIN_VALUE, one in each line.
// php-cgi does not apply them, and sites use the second for open_basedir. So only
// those pass that the pool has anyway. Another one of PHP_ADMIN_VALUE fails the
// request, and another one of PHP_VALUE, which scripts may change, is logged.

// checkValues checks both variables. It returns false if the request has been answered.
func (x *request) checkValues() bool {
	admin, plain := x.params.get(phpAdminValue), x.params.get(phpValue)
	if admin == "" && plain == "" {
		return true
	}
	plan, _ := x.l.pool.Active()
	if plan == nil {
		return true // the pool has not started: the request will be rejected
	}
	for line := range settingLines(admin) {
		s, err := parseSetting(line)
		if err == nil && sameSetting(plan.Options.AdminINI, s) {
			continue
		}
		if err == nil {
			err = fmt.Errorf("PHP_ADMIN_VALUE sets %s, which pool %s does not: write `admin_ini %s %q` in the pool", s.Name, x.l.pool.Name, s.Name, s.Value)
		}
		x.logOnce(true, line, err)
		x.fail(http.StatusInternalServerError, err)
		return false
	}
	for line := range settingLines(plain) {
		s, err := parseSetting(line)
		if err == nil && (sameSetting(plan.Options.INI, s) || sameSetting(plan.Options.AdminINI, s)) {
			continue
		}
		if err == nil {
			err = fmt.Errorf("PHP_VALUE sets %s, which has no effect: write `ini %s %q` in pool %s", s.Name, s.Name, s.Value, x.l.pool.Name)
		}
		x.logOnce(false, line, err)
	}
	return true
}

// settingLines returns the lines of a variable that are not empty and no comment.
func settingLines(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line != "" && line[0] != ';' && !yield(line) {
				return
			}
		}
	}
}

// parseSetting parses a line. What it does not understand is an error, because PHP may
// understand it.
func parseSetting(line string) (phpbin.Setting, error) {
	list := phpbin.ParseINI(line)
	if len(list) != 1 || list[0].Name == "" || strings.Count(line, `"`) == 1 {
		return phpbin.Setting{}, fmt.Errorf("%q in PHP_VALUE or PHP_ADMIN_VALUE is not a setting: write name=value", line)
	}
	return list[0], nil
}

// sameSetting reports whether the options have a setting with the same value.
func sameSetting(options map[string]string, s phpbin.Setting) bool {
	value, ok := options[s.Name]
	if ok {
		if expanded, err := poolcfg.Expand(s.Name, value); err == nil {
			value = expanded
		}
	}
	return ok && (value == s.Value || isOff(value) && isOff(s.Value) || isOn(value) && isOn(s.Value))
}

// isOn and isOff report whether PHP takes a value for the boolean true or false.
func isOn(value string) bool {
	switch strings.ToLower(value) {
	case "1", "on", "yes", "true":
		return true
	}
	return false
}

func isOff(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "off", "no", "false", "none":
		return true
	}
	return false
}

// loggedSettings are the lines that were logged.
type loggedSettings struct {
	mu    sync.Mutex
	lines map[string]bool
}

// maxLogged limits the number of lines that are logged for a listener: a web server may
// put the request into them.
const maxLogged = 100

// logOnce logs what is wrong with a line, once for each.
func (x *request) logOnce(failed bool, line string, err error) {
	l := &x.l.logged
	l.mu.Lock()
	known := l.lines[line] || len(l.lines) >= maxLogged
	if !known {
		if l.lines == nil {
			l.lines = map[string]bool{}
		}
		l.lines[line] = true
	}
	l.mu.Unlock()
	switch {
	case known:
	case failed:
		x.l.logger.Error("PHP_ADMIN_VALUE of a web server rejected", zap.String("fastcgi", x.l.Listen), zap.Error(err))
	default:
		x.l.logger.Warn("PHP_VALUE of a web server ignored", zap.String("fastcgi", x.l.Listen), zap.Error(err))
	}
}
