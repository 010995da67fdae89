package phpbin

import (
	"fmt"
	"path/filepath"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/confine"
)

// Confinement says what php-cgi, and the programs that scripts start, cannot reach
// although they run as this user: by Landlock and a seccomp filter, as far as
// [DetectConfinement] says. They also cannot trace the processes outside of it, read
// their memory and environment, or send them signals.
type Confinement struct {
	// Hidden are absolute paths of files and directories that they can neither read nor
	// change. Those that [CheckHidden] rejects must not be among them. Whatever is
	// created beside a hidden path or a parent of it is closed to the php-cgi that run
	// then.
	Hidden []string

	// Allowed are directories that stay usable although a hidden one contains them.
	Allowed []string

	// Ports are TCP ports, on any host, to which they cannot connect.
	Ports []uint16

	// OnlyPorts means that they are denied nothing else, and that setuid programs work:
	// for php-cgi of another user. See [CanDenyPorts].
	OnlyPorts bool
}

// ConfinementSupport says what the kernel offers. Its fields are:
//
//   - ABI: the version of Landlock, or 0. With 1 (Linux 5.13) files are
//     hidden and processes separated.
//   - Ports: whether TCP ports can be denied (ABI 4, Linux 6.7, and seccomp).
//   - Err: the reason why ABI is 0.
//
// Signals reports whether processes outside get no signals (ABI 6, Linux 6.12).
type ConfinementSupport = confine.Support

// DetectConfinement tries, once, what the kernel allows this process to do.
func DetectConfinement() ConfinementSupport { return confine.Detect() }

// CheckHidden returns an error if a path cannot be hidden, with the reason: files are
// created in the same directory that PHP needs. temp are directories in which PHP creates files.
func CheckHidden(path string, temp []string) error { return confine.CheckHidden(path, temp) }

// Prepare starts in the background what takes long before php-cgi with this confinement
// can be started: 0.1 s for Ports. [ForgetConfinement] discards it, if nothing is started.
func (c *Confinement) Prepare() { prepareConfinement(c) }

// ForgetConfinement discards what [Confinement.Prepare] has made and nothing has used.
func ForgetConfinement() { confine.Forget() }

// Names returns a text that changes when c means other rules: when files were created,
// replaced or removed beside a hidden path or a parent of it.
func (c *Confinement) Names() string { return confine.Names(c.config()) }

// Explain returns the reason why php-cgi with this confinement cannot use a path, if
// names is the result of Names when it was started; nil if it is allowed.
func (c *Confinement) Explain(names, path string) error {
	return confine.Explain(c.config(), names, path)
}

func (c *Confinement) config() confine.Config {
	return confine.Config{Hidden: c.Hidden, Allowed: c.Allowed, Ports: c.Ports, OnlyPorts: c.OnlyPorts}
}

func (c *Confinement) validate() error {
	for _, path := range append(append([]string{}, c.Hidden...), c.Allowed...) {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("a path of the confinement is not absolute: %s", path)
		}
	}
	return DetectConfinement().Err
}
