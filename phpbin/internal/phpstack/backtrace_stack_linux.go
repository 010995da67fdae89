package phpstack

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// call is a zend_execute_data: its address, and its first fields.
type call struct {
	at                   uint64
	opline, fn, previous uint64
}

// stack is the linked list of calls in a process that runs meanwhile.
type stack struct {
	m       memory
	current uint64 // the address of EG(current_execute_data)
	depth   int    // the maximum number of calls

	calls  []call
	stable int // the index of the first call that has not changed
	chunks []chunk
	heads  [][]byte // of each call, within the chunks
}

// maxWalks is the number of attempts to follow the list to its end.
const maxWalks = 10

// walk follows the list from the innermost call.
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
	// There may be calls without a function, as for callbacks from the engine
	// (zend_call_function) and generators. They do not count.
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

// maxGap is the maximum distance in bytes of calls that are read as one chunk, which
// makes it less likely that they change meanwhile.
const maxGap = 1024

// planReads allocates the chunks that contain all calls. Most calls are adjacent.
func (s *stack) planReads() {
	order := make([]int, len(s.calls))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(s.calls[a].at, s.calls[b].at) })
	s.chunks = []chunk{{s.current, make([]byte, pointerSize)}}
	s.heads = make([][]byte, len(s.calls))
	for len(order) > 0 {
		begin := s.calls[order[0]].at
		end, n := begin, 0
		for n < len(order) && s.calls[order[n]].at-end <= maxGap {
			end = s.calls[order[n]].at
			n++
		}
		b := make([]byte, end-begin+frameHead)
		s.chunks = append(s.chunks, chunk{begin, b})
		for _, i := range order[:n] {
			s.heads[i] = b[s.calls[i].at-begin:][:frameHead]
		}
		order = order[n:]
	}
}

// reread reads all calls again, with one system call, and updates stable.
func (s *stack) reread() error {
	if err := s.m.read(s.chunks...); err != nil {
		return err
	}
	join, err := s.joinIndex(binary.LittleEndian.Uint64(s.chunks[0].b))
	if err != nil {
		return err
	}
	s.stable = max(s.stable, join)
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

// joinIndex returns the index of the first known call in the list that begins at an
// address. The calls before it have returned. If the list changes while it is
// followed, it retries from the current head.
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

// findKnown follows a list to the first known call and returns its index.
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
