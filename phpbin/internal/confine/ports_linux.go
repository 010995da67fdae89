package confine

import (
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// prepared is a set of rules for ports that [Support.Prepare] makes.
var prepared struct {
	mu     sync.Mutex
	ports  []uint16
	only   bool           // see [Config.OnlyPorts]
	result chan portRules // nil if nothing is prepared
}

type portRules struct {
	r   ruleset
	err error
}

// Prepare starts to make the rules against c.Ports, in the background: they take most of
// the time of the next [Support.Apply] with the same ports, and this lets other work be
// done meanwhile. [Forget] discards them.
func (s Support) Prepare(c Config) {
	if len(c.Ports) == 0 || !s.Ports {
		return
	}
	prepared.mu.Lock()
	defer prepared.mu.Unlock()
	if prepared.result != nil && prepared.only == c.OnlyPorts && slices.Equal(prepared.ports, c.Ports) {
		return
	}
	forgetLocked()
	result := make(chan portRules, 1)
	ports := slices.Clone(c.Ports)
	prepared.ports, prepared.only, prepared.result = ports, c.OnlyPorts, result
	go func() {
		r, err := s.makeRuleset(ports, c.OnlyPorts)
		result <- portRules{r, err}
	}()
}

// Forget discards what Prepare has made and nothing has used.
func Forget() {
	prepared.mu.Lock()
	defer prepared.mu.Unlock()
	forgetLocked()
}

func forgetLocked() {
	if result := prepared.result; result != nil {
		prepared.result = nil
		go func() {
			if rules := <-result; rules.err == nil {
				rules.r.close()
			}
		}()
	}
}

// ruleset returns a set of rules with those of ports, which the caller has to close.
func (s Support) ruleset(ports []uint16, only bool) (ruleset, error) {
	prepared.mu.Lock()
	result := prepared.result
	use := result != nil && prepared.only == only && slices.Equal(prepared.ports, ports)
	if use {
		prepared.result = nil
	}
	prepared.mu.Unlock()
	if use {
		rules := <-result
		return rules.r, rules.err
	}
	return s.makeRuleset(ports, only)
}

func (s Support) makeRuleset(ports []uint16, only bool) (ruleset, error) {
	r, err := newRuleset(s.attr(ports, only))
	if err != nil || len(ports) == 0 {
		return r, err
	}
	if err := r.allowPortsBut(ports); err != nil {
		r.close()
		return 0, err
	}
	return r, nil
}

// allowPortsBut allows all TCP ports but these. Landlock has no ranges, so this takes
// a rule for each port: some 0.1 s, and 4 MB of the kernel's memory.
func (r ruleset) allowPortsBut(denied []uint16) error {
	attr := struct{ rights, port uint64 }{rights: unix.LANDLOCK_ACCESS_NET_CONNECT_TCP}
	for port := range 1 << 16 {
		if slices.Contains(denied, uint16(port)) {
			continue
		}
		attr.port = uint64(port)
		if err := r.add(ruleNetPort, unsafe.Pointer(&attr)); err != nil {
			return err
		}
	}
	return nil
}
