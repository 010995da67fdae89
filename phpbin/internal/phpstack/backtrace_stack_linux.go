package phpstack

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// call is a zend_execute_data: where it is, and the beginning of it.
type call struct {
	at                   uint64
	opline, fn, previous uint64
}

// stack is the chain of calls in a process that goes on meanwhile.
type stack struct {
	m       memory
	current uint64 // the address of EG(current_execute_data)
	depth   int    // how many calls are wanted

	calls  []call
	stable int // the calls before this one were seen to change
	parts  []chunk
	heads  [][]byte // of each call, in the parts
}

// maxWalks is how often the chain is followed until it does not break.
const maxWalks = 10

// walk follows the chain from the innermost call.
func (s *stack) walk() (err error) {
	for range maxWalks {
		if err = s.follow(); !errors.Is(err, ErrUnstable) {
			break
		}
	}
	s.planReads()
	return err
}

func (s *stack) follow() error {
	s.calls = s.calls[:0]
	at, err := readPointer(s.m, s.current)
	if err != nil {
		return err
	}
	// Between two calls there may be one without a function, as where the engine
	// calls back (zend_call_function) or a generator stands.
	for named := 0; at != 0 && named < s.depth && len(s.calls) < 2*s.depth; {
		c, err := readCall(s.m, at)
		if err != nil {
			return err
		}
		s.calls = append(s.calls, c)
		if c.fn != 0 {
			named++
		}
		at = c.previous
	}
	return nil
}

// maxGap is how far apart calls may lie to be read as one piece, which makes it
// less likely that they change meanwhile.
const maxGap = 1024

// plan makes the pieces that hold all calls: most lie side by side.
func (s *stack) planReads() {
	order := make([]int, len(s.calls))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(s.calls[a].at, s.calls[b].at) })
	s.parts = []chunk{{s.current, make([]byte, pointerSize)}}
	s.heads = make([][]byte, len(s.calls))
	for len(order) > 0 {
		begin := s.calls[order[0]].at
		end, n := begin, 0
		for n < len(order) && s.calls[order[n]].at-end <= maxGap {
			end = s.calls[order[n]].at
			n++
		}
		b := make([]byte, end-begin+frameHead)
		s.parts = append(s.parts, chunk{begin, b})
		for _, i := range order[:n] {
			s.heads[i] = b[s.calls[i].at-begin:][:frameHead]
		}
		order = order[n:]
	}
}

// look reads the whole chain again, in one go, and notes what has changed.
func (s *stack) reread() error {
	if err := s.m.read(s.parts...); err != nil {
		return err
	}
	joint, err := s.joinIndex(binary.LittleEndian.Uint64(s.parts[0].b))
	if err != nil {
		return err
	}
	s.stable = max(s.stable, joint)
	for i := len(s.calls) - 1; i >= s.stable; i-- {
		now := callAt(s.calls[i].at, s.heads[i])
		if now.fn != s.calls[i].fn || now.previous != s.calls[i].previous {
			s.stable = i + 1
			break
		}
		s.calls[i].opline = now.opline
	}
	return nil
}

// joint returns which of the calls is the first one in the chain that begins at
// an address. Those before it have returned. A chain that breaks while it is
// followed says nothing: then it is followed from where it begins now.
func (s *stack) joinIndex(at uint64) (int, error) {
	for range maxWalks {
		i, err := s.findKnown(at)
		if err == nil || !errors.Is(err, ErrUnstable) {
			return i, err
		}
		if at, err = readPointer(s.m, s.current); err != nil {
			return 0, err
		}
	}
	return len(s.calls), nil
}

// meet follows a chain to the first of the calls.
func (s *stack) findKnown(at uint64) (int, error) {
	for range 2 * s.depth {
		if at == 0 {
			break
		}
		if i := slices.IndexFunc(s.calls, func(c call) bool { return c.at == at }); i >= 0 {
			return i, nil
		}
		c, err := readCall(s.m, at)
		if err != nil {
			return 0, err
		}
		at = c.previous
	}
	return len(s.calls), nil
}

func readCall(m memory, at uint64) (call, error) {
	b, err := readBytes(m, at, frameHead)
	if err != nil {
		return call{}, err
	}
	return callAt(at, b), nil
}

func callAt(at uint64, b []byte) call {
	return call{
		at:       at,
		opline:   binary.LittleEndian.Uint64(b),
		fn:       binary.LittleEndian.Uint64(b[frameFunc:]),
		previous: binary.LittleEndian.Uint64(b[framePrev:]),
	}
}
