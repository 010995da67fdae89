package phpstack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// heap is memory with PHP's data structures.
type heap struct {
	base uint64
	b    []byte
	l    layout
}

func newHeap() *heap { return &heap{base: 0x10000, l: layouts[20220829]} }

func (h *heap) read(parts ...chunk) error {
	for _, p := range parts {
		if p.addr < h.base || p.addr-h.base > uint64(len(h.b)) || copy(p.b, h.b[p.addr-h.base:]) < len(p.b) {
			return ErrUnstable
		}
	}
	return nil
}

// alloc allocates n zero bytes and returns their address.
func (h *heap) alloc(n int) uint64 {
	at := h.base + uint64(len(h.b))
	h.b = append(h.b, make([]byte, (n+7)&^7)...)
	return at
}

func (h *heap) set(at, value uint64) { binary.LittleEndian.PutUint64(h.b[at-h.base:], value) }

func (h *heap) string(text string) uint64 {
	at := h.alloc(stringVal + len(text) + 1)
	h.set(at+stringLen, uint64(len(text)))
	copy(h.b[at+stringVal-h.base:], text)
	return at
}

// class allocates a zend_class_entry.
func (h *heap) class(name string) uint64 {
	at := h.alloc(32)
	h.set(at+className, h.string(name))
	return at
}

// function allocates a zend_function with an opcode for each of lines.
func (h *heap) function(kind byte, name, class uint64, file string, lines ...uint64) uint64 {
	at := h.alloc(256)
	h.b[at-h.base] = kind
	h.set(at+funcName, name)
	h.set(at+funcScope, class)
	if file != "" {
		h.set(at+h.l.filename, h.string(file))
	}
	opcodes := h.alloc(opcodeSize * (len(lines) + 1))
	h.set(opcodes+uint64(len(lines))*opcodeSize+opcodeLine, 99) // not of this function
	binary.LittleEndian.PutUint32(h.b[at+h.l.last-h.base:], uint32(len(lines)))
	h.set(at+h.l.opcodes, opcodes)
	for i, line := range lines {
		h.set(opcodes+uint64(i)*opcodeSize+opcodeLine, line)
	}
	return at
}

// call allocates a zend_execute_data at an opcode of its function.
func (h *heap) call(fn, opcode, previous uint64) uint64 {
	at := h.alloc(80)
	if fn != 0 {
		h.set(at, binary.LittleEndian.Uint64(h.b[fn+h.l.opcodes-h.base:])+opcode*opcodeSize)
	}
	h.set(at+frameFunc, fn)
	h.set(at+framePrev, previous)
	return at
}

// trace returns the stack whose innermost call is current.
func (h *heap) trace(t *testing.T, current uint64) []string {
	t.Helper()
	globals := h.alloc(600)
	h.set(globals+h.l.current, current)
	frames, err := h.l.backtrace(h, globals, 10)
	if err != nil {
		return []string{err.Error()}
	}
	var list []string
	for _, f := range frames {
		list = append(list, f.String())
	}
	return list
}

func TestBacktrace_Memory(t *testing.T) {
	main := func(h *heap) uint64 {
		return h.call(h.function(userFunction, 0, 0, "/m.php", 3, 4), 1, 0)
	}
	tests := map[string]struct {
		stack func(h *heap) uint64
		want  []string
	}{
		"no script": {func(*heap) uint64 { return 0 }, nil},
		"a script":  {main, []string{"{main} /m.php:4"}},
		"a method": {func(h *heap) uint64 {
			return h.call(h.function(userFunction, h.string("m"), h.class("K"), "/k.php", 7), 0, main(h))
		}, []string{"K::m /k.php:7", "{main} /m.php:4"}},
		"a built-in function": {func(h *heap) uint64 {
			return h.call(h.function(internalFunction, h.string("sleep"), 0, ""), 0, main(h))
		}, []string{"sleep", "{main} /m.php:4"}},
		"eval": {func(h *heap) uint64 {
			return h.call(h.function(evalCode, 0, 0, "/m.php(3) : eval()'d code", 1), 0, main(h))
		}, []string{"{main} /m.php(3) : eval()'d code:1", "{main} /m.php:4"}},
		"a call without a function": {func(h *heap) uint64 {
			return h.call(0, 0, h.call(0, 0, main(h)))
		}, []string{"{main} /m.php:4"}},
		"an opcode after the last": {func(h *heap) uint64 {
			return h.call(h.function(userFunction, h.string("f"), 0, "/f.php", 7), 1, main(h))
		}, []string{"f /f.php", "{main} /m.php:4"}},
		"an anonymous class": {func(h *heap) uint64 {
			return h.call(h.function(userFunction, h.string("m"), h.class("class@anonymous\x00/k.php:7$0"), "/k.php", 7), 0, 0)
		}, []string{"class@anonymous::m /k.php:7"}},
		"bytes that are not text": {func(h *heap) uint64 {
			return h.call(h.function(internalFunction, h.string("a\n\x1b[2J\xff"), 0, ""), 0, 0)
		}, []string{"a��[2J�"}},
		"a long name": {func(h *heap) uint64 {
			return h.call(h.function(internalFunction, h.string(strings.Repeat("é", 300)), 0, ""), 0, 0)
		}, []string{strings.Repeat("é", 128) + "…"}},
		"a name cut within a character": {func(h *heap) uint64 {
			return h.call(h.function(internalFunction, h.string("x"+strings.Repeat("é", 300)), 0, ""), 0, 0)
		}, []string{"x" + strings.Repeat("é", 127) + "…"}},
		"a name with a huge length": {func(h *heap) uint64 {
			name := h.string("f")
			h.set(name+stringLen, 1<<40)
			return h.call(h.function(internalFunction, name, 0, ""), 0, main(h))
		}, []string{"{main} /m.php:4"}},
		"a function of unknown type": {func(h *heap) uint64 {
			return h.call(h.function(9, h.string("f"), 0, ""), 0, main(h))
		}, []string{"{main} /m.php:4"}},
		"a call at an unmapped address": {func(h *heap) uint64 { return h.call(0, 0, 1<<40) }, []string{ErrUnstable.Error()}},
		"a call at an odd address":      {func(h *heap) uint64 { return main(h) + 1 }, []string{ErrUnstable.Error()}},
		"more calls than depth": {func(h *heap) uint64 {
			fn, at := h.function(internalFunction, h.string("f"), 0, ""), uint64(0)
			for range 20 {
				at = h.call(fn, 0, at)
			}
			return at
		}, slices.Repeat([]string{"f"}, 10)},
		"a cycle": {func(h *heap) uint64 {
			at := h.call(h.function(internalFunction, h.string("f"), 0, ""), 0, 0)
			h.set(at+framePrev, at)
			return at
		}, slices.Repeat([]string{"f"}, 10)},
		"a cycle without functions": {func(h *heap) uint64 {
			at := h.call(0, 0, 0)
			h.set(at+framePrev, at)
			return at
		}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHeap()
			if got := h.trace(t, test.stack(h)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// wild is memory in which every address is mapped, and that changes while it is
// read. given counts the bytes that were read.
type wild struct {
	b      []byte
	change byte
	given  int
}

func (w *wild) read(parts ...chunk) error {
	for _, p := range parts {
		for i := range p.b {
			p.b[i] = w.b[(p.addr+uint64(i))%uint64(len(w.b))]
		}
		w.given += len(p.b)
	}
	w.b[w.given%len(w.b)] += w.change
	return nil
}

func FuzzBacktrace(f *testing.F) {
	h := newHeap()
	h.base = 1 << 20
	globals := h.alloc(600)
	main := h.call(h.function(userFunction, 0, 0, "/m.php", 3, 4), 1, 0)
	h.set(globals+h.l.current, h.call(h.function(userFunction, h.string("m"), h.class("K"), "/k.php", 7), 0, main))
	f.Add(append(make([]byte, 1<<20), h.b...)[1<<20:], byte(0))
	f.Add(h.b, byte(8))
	f.Fuzz(func(t *testing.T, b []byte, change byte) {
		if len(b) == 0 {
			return
		}
		w := &wild{b: bytes.Clone(b), change: change}
		frames, err := h.l.backtrace(w, globals, 20)
		if err != nil && !errors.Is(err, ErrUnstable) {
			t.Errorf("got %v", err)
		}
		if len(frames) > 20 {
			t.Errorf("got %d frames, want 20 at most", len(frames))
		}
		for _, frame := range frames {
			if text := frame.String(); !utf8.ValidString(text) || len(text) > 3*(2*maxFunction+maxFile)+32 || strings.ContainsAny(text, "\x00\n\x1b") {
				t.Errorf("got a frame %q", text)
			}
		}
		// Ten attempts, with 20 calls, each with a gap of 1 KB and 2 KB of names at most.
		if w.given > 8<<20 {
			t.Errorf("%d bytes were read", w.given)
		}
	})
}

func TestBacktrace_LayoutByBuildID(t *testing.T) {
	for _, test := range []struct {
		rodata string
		want   layout
		reason string
	}{
		{"x\x00API20220829,NTS\x00y", layouts[20220829], ""},
		{"API420220829,NTS\x00API20\x00API20250925,NTS\x00", layouts[20250925], ""},
		{"API20220829,TS\x00", layout{}, "thread-safe"},
		{"API20220829,NTS,debug\x00", layout{}, "API 20220829,NTS,debug"},
		{"API20190901,NTS\x00", layout{}, "API 20190901,NTS"},
		{"API20220829,NTS", layout{}, "does not look like php-cgi"},
		{"", layout{}, "does not look like php-cgi"},
	} {
		got, err := layoutIn([]byte(test.rodata))
		if test.reason == "" && err != nil || got != test.want {
			t.Errorf("%q: got %v, %v, want %v", test.rodata, got, err, test.want)
		}
		if test.reason != "" && (!errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), test.reason)) {
			t.Errorf("%q: got %v, want ErrUnsupported with %q", test.rodata, err, test.reason)
		}
	}
}

func TestBacktrace_NotPHP(t *testing.T) {
	var cache Cache
	for range 2 { // the second time from the cache
		frames, err := cache.Backtrace(os.Getpid(), 20)
		if !errors.Is(err, errors.ErrUnsupported) || frames != nil {
			t.Errorf("this test binary: got %v, %v, want ErrUnsupported", frames, err)
		}
	}
	if len(cache.entries) != 1 {
		t.Errorf("got %d cached binaries, want 1", len(cache.entries))
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("#!/bin/sh\n", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []uint32{uint32(os.Geteuid()), uint32(os.Geteuid()) + 1} {
		file, err := os.Open(text)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		_, err = readBinary(file, &syscall.Stat_t{Mode: syscall.S_IFREG, Uid: owner})
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a file of user %d: got %v, want ErrUnsupported", owner, err)
		}
		var format *elf.FormatError
		if read := errors.As(err, &format); read != (owner == uint32(os.Geteuid())) {
			t.Errorf("a file of user %d: got %v; it was read: %v", owner, err, read)
		}
	}
}

func TestBlockedOn_SocketAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:0CEA":                         "127.0.0.1:3306",
		"00000000:0000":                         "",
		"B80D01200000000067452301EFCDAB89:1F90": "[2001:db8::123:4567:89ab:cdef]:8080",
		"0000000000000000FFFF00000500000A:0050": "10.0.0.5:80",
		"0100007:0050":                          "",
		"0100:0050":                             "",
		"":                                      "",
	} {
		if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 && parseAddress(text) != want {
			t.Errorf("%s: got %q, want %q", text, parseAddress(text), want)
		}
	}
	for _, test := range []struct {
		b    []byte
		want string
	}{
		{[]byte("/run/mysqld/mysqld.sock\x00"), "unix:/run/mysqld/mysqld.sock"},
		{[]byte("\x00name"), "unix:@name"},
		{[]byte("\x00"), ""},
		{nil, ""},
	} {
		if got := unixAddress(test.b); got != test.want {
			t.Errorf("%q: got %q, want %q", test.b, got, test.want)
		}
	}
	h := newHeap()
	at := h.alloc(128)
	w := &waitReader{mem: h}
	for b, want := range map[string]string{
		"\x02\x00\x0c\xea\x0a\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00":                       "10.0.0.5:3306",
		"\x02\x00\x0c\xea\x0a\x00\x00":                                                           "",
		"\x0a\x00\x00\x50\x00\x00\x00\x00" + strings.Repeat("\x00", 15) + "\x01\x00\x00\x00\x00": "[::1]:80",
		"\x01\x00/run/s\x00": "unix:/run/s",
		"\x01\x00s":          "unix:s", // of socket_connect($socket, "s")
		"\x02\x00s":          "",
		"":                   "",
	} {
		copy(h.b[at-h.base:], b)
		if got := w.readSockaddr(at, uint64(len(b))); got != want {
			t.Errorf("%q: got %q, want %q", b, got, want)
		}
	}
	if got := w.readSockaddr(1<<40, 16); got != "" {
		t.Errorf("an unmapped address: got %q", got)
	}
}

func TestBlockedOn_NetlinkAttributes(t *testing.T) {
	b := func(s string) []byte { return append(make([]byte, 16), s...) }
	for _, test := range []struct {
		data []byte
		want string
	}{
		{b("\x08\x00\x02\x00\x07\x00\x00\x00\x06\x00\x00\x00/s\x00\x00"), "map[0:[47 115] 2:[7 0 0 0]]"},
		{b("\x05\x00\x00\x00/"), "map[0:[47]]"},
		{b("\x03\x00\x00\x00/"), "map[]"},
		{b("\x09\x00\x00\x00/"), "map[]"},
		{nil, "map[]"},
	} {
		if got := fmt.Sprint(parseAttributes(test.data)); got != test.want {
			t.Errorf("%q: got %s, want %s", test.data, got, test.want)
		}
	}
}
