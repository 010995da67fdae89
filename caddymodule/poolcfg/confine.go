package poolcfg

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// Secrets lists what the option confine keeps from PHP that runs as Caddy's own user.
type Secrets struct {
	// Paths are Caddy's own files and directories, absolute: certificates with their keys,
	// the last config, credentials.
	Paths []string

	// Admin is the address of the admin endpoint; empty if it is off. Port is its number,
	// if it is a TCP port, and Abstract is set if it is an abstract socket.
	Admin    string
	Port     uint16
	Abstract bool
}

// Protect sets what the option confine keeps from PHP.
func (o *Options) Protect(s *Secrets) { o.secrets = s }

// Confinement says what confine keeps from PHP.
type Confinement struct {
	// Off is the reason why PHP is not confined; empty if it is.
	Off string `json:"off,omitempty"`

	// Hidden are the files and directories that PHP can neither read nor change.
	Hidden []string `json:"hidden,omitempty"`

	// Denied lists what else PHP cannot reach, of "memory" (and the environment), "signals"
	// and "admin" (its endpoint).
	Denied []string `json:"denied,omitempty"`

	// Gaps are sentences about that which PHP can reach nevertheless, with the remedies.
	Gaps []string `json:"gaps,omitempty"`
}

// Unreachable returns what PHP cannot reach, for logs.
func (c *Confinement) Unreachable() []string { return slices.Concat(c.Hidden, c.Denied) }

// CheckConfined returns the reason why confine keeps PHP from a file, nil if it does not.
func (p *Plan) CheckConfined(path string) error {
	if p.Process.Confine == nil {
		return nil
	}
	if err := p.Process.Confine.Explain(p.confineNames, path); err != nil {
		return fmt.Errorf("confine: %w: restart the pool, reload the config with --force, or write `confine off`", err)
	}
	return nil
}

// DeniesPort reports whether scripts cannot connect to the TCP port of the admin endpoint.
func (p *Plan) DeniesPort() bool { return p.Process.Confine != nil && len(p.Process.Confine.Ports) > 0 }

// denyPort keeps PHP of another user than Caddy's from a TCP port of the admin endpoint,
// where that takes nothing else from scripts.
func (p *Plan) denyPort(s *Secrets) {
	if s.Port == 0 || p.UserID() == 0 || !valueOr(p.Options.Confine, true) || !phpbin.CanDenyPorts() {
		return
	}
	p.Process.Confine = &phpbin.Confinement{Ports: []uint16{s.Port}, OnlyPorts: true}
	p.Process.Confine.Prepare()
}

// prepareConfine confines PHP that runs as Caddy's own user, and not as root.
func (p *Plan) prepareConfine() error {
	s := p.Options.secrets
	switch {
	case s == nil:
		return nil
	case p.UserID() != os.Geteuid():
		p.denyPort(s)
		return nil
	case os.Geteuid() <= 0:
		return nil
	}
	if !valueOr(p.Options.Confine, true) {
		p.Confinement = &Confinement{Off: "confine is off"}
		return nil
	}
	support := phpbin.DetectConfinement()
	if support.ABI == 0 {
		if p.Options.Confine != nil {
			return fmt.Errorf("confine: the kernel does not allow Landlock (%w): remove confine, or run PHP as another user", support.Err)
		}
		p.Confinement = &Confinement{Off: fmt.Sprintf("the kernel does not allow Landlock (%v)", support.Err)}
		return nil
	}
	temp := []string{os.TempDir()}
	if dir := p.Process.Env["TMPDIR"]; filepath.IsAbs(dir) {
		temp = append(temp, dir)
	}
	c := &Confinement{Denied: []string{"memory"}}
	p.Process.Confine = &phpbin.Confinement{Allowed: temp}
	if p.privateDir != "" {
		p.Process.Confine.Allowed = slices.Concat(temp, []string{p.privateDir})
		temp = temp[:1]
	}
	for _, path := range s.Paths {
		if err := phpbin.CheckHidden(path, temp); err != nil {
			c.Gaps = append(c.Gaps, fmt.Sprintf("scripts can use %s: %v; move it elsewhere", path, err))
			continue
		}
		c.Hidden = append(c.Hidden, path)
	}
	p.Process.Confine.Hidden = c.Hidden
	if support.Signals() {
		c.Denied = append(c.Denied, "signals")
	} else {
		c.Gaps = append(c.Gaps, "scripts can send signals to Caddy: Linux 6.12 prevents it")
	}
	p.confineAdmin(c, s, support)
	p.Confinement = c
	p.Process.Confine.Prepare()
	return nil
}

// confineAdmin closes the admin endpoint, as far as the kernel can.
func (p *Plan) confineAdmin(c *Confinement, s *Secrets, support phpbin.ConfinementSupport) {
	const canConnect = "scripts can connect to the admin endpoint %s, which can load any config: %s"
	remedy := "write `admin off`, or update to Linux 6.7"
	switch {
	case s.Admin == "":
		return
	case s.Port != 0 && support.Ports:
		p.Process.Confine.Ports = []uint16{s.Port}
		c.Denied = append(c.Denied, "admin")
		return
	case s.Abstract && support.Signals():
		c.Denied = append(c.Denied, "admin")
		return
	case s.Port == 0 && support.Ports:
		remedy = "write `admin localhost:2019`, which is closed to them"
	}
	c.Gaps = append(c.Gaps, fmt.Sprintf(canConnect, s.Admin, remedy))
}

// finishConfine turns confine off, unless the config sets it, where it would break
// mail(): it implies no_new_privs.
func (p *Plan) finishConfine() {
	if p.Process.Confine == nil || p.Process.Confine.OnlyPorts || p.Options.Confine != nil || p.Process.NoNewPrivs {
		return
	}
	command, _ := p.Binary.Setting("sendmail_path")
	if set, ok := p.Options.AdminINI["sendmail_path"]; ok {
		command = set
	}
	if mailer := privilegedMailer(command, p.Process.Env["PATH"]); mailer != "" {
		p.Process.Confine = nil
		phpbin.ForgetConfinement()
		p.Confinement = &Confinement{Off: fmt.Sprintf("mail() would fail: %s is a setuid or setgid program, and confine disables those; "+
			"if PHP sends its mail by SMTP, or none, write `confine`", mailer)}
	}
}

// mailHelpers are setuid or setgid programs in the directory of the sendmail that starts
// them: that of Postfix, and that of nullmailer.
var mailHelpers = []string{"postdrop", "nullmailer-queue"}

// privilegedMailer returns the path of the setuid or setgid program that a command of
// sendmail_path needs, or "".
func privilegedMailer(command, path string) string {
	fields := strings.Fields(command)
	if len(fields) == 0 {
		return ""
	}
	program := strings.Trim(fields[0], `"'`)
	if !filepath.IsAbs(program) {
		found, err := exec.LookPath(program) // PHP's PATH is usually Caddy's
		for _, dir := range filepath.SplitList(path) {
			if info, statErr := os.Stat(filepath.Join(dir, program)); statErr == nil && info.Mode().IsRegular() {
				found, err = filepath.Join(dir, program), nil
				break
			}
		}
		if err != nil {
			return ""
		}
		program = found
	}
	resolved, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "" // no mail anyway
	}
	candidates := []string{resolved}
	for _, helper := range mailHelpers {
		candidates = append(candidates, filepath.Join(filepath.Dir(resolved), helper))
	}
	for _, candidate := range candidates {
		if info, err := os.Stat(candidate); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			return candidate
		}
	}
	return ""
}
