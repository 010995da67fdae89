package phpstack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzSocketTable parses any text as /proc/PID/net/tcp.
func FuzzSocketTable(f *testing.F) {
	f.Add([]byte("   0: 0100007F:0CEA 0A000005:0050 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 20 4 30 10 -1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if remote := findRemote(bytes.NewReader(data), "4711"); remote != "" {
			if addr, err := netip.ParseAddrPort(remote); err != nil || addr.Port() == 0 {
				t.Errorf("got the address %q: %v", remote, err)
			}
		}
	})
}

// FuzzWaiting describes system calls with any arguments and any memory: the result
// must be one short line.
func FuzzWaiting(f *testing.F) {
	f.Add([]byte("\x02\x00\x0c\xea\x0a\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00"), uint8(0), uint64(0), uint64(0), uint64(16))
	f.Add([]byte("\x01\x00/run/mysqld/mysqld.sock\x00"), uint8(0), uint64(3), uint64(0), uint64(25))
	f.Add([]byte("/tmp/\x1b[31m\n"), uint8(1), ^uint64(99), uint64(0), uint64(0))
	f.Add([]byte{0xff}, uint8(2), uint64(1), uint64(1<<63), uint64(1))
	f.Add([]byte("\x18\x00\x00\x00\x00\x00\x00\x00"), uint8(3), uint64(1<<40), uint64(1<<40), uint64(8))
	names := []string{"connect", "openat", "poll", "select", "open", "read", "wait4", "waitid", "clock_nanosleep"}
	f.Fuzz(func(t *testing.T, b []byte, call uint8, first, second, third uint64) {
		if len(b) == 0 {
			return
		}
		mem := &wild{b: bytes.Clone(b)}
		// The descriptors are those of this process.
		w := &waitReader{pid: os.Getpid(), mem: mem}
		name := names[int(call)%len(names)]
		text := w.target(name, [6]uint64{first, second, third})
		ours, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", int32(first)))
		if !utf8.ValidString(text) || len(text) > 3*256+len(ours)+64 || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%s: got target %q", name, text)
		}
		if mem.given > 4<<10 {
			t.Errorf("%s: %d bytes were read", name, mem.given)
		}
		total := 0
		for kind, value := range parseAttributes(b) {
			total += len(value)
			if got := unixAddress(value); strings.ContainsFunc(got, unicode.IsControl) {
				t.Errorf("attribute %d: got %q", kind, got)
			}
		}
		if total > len(b) {
			t.Errorf("got attributes of %d bytes from %d", total, len(b))
		}
	})
}

// FuzzProgram parses any file as php-cgi: a script can make its worker execute another
// program, though only one that belongs to root or to our user is read.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("API20220829,NTS\x00"))
	f.Add([]byte("API20220829,TS\x00"))
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(head[16:], uint16(elf.ET_EXEC))
	binary.LittleEndian.PutUint16(head[18:], uint16(elf.EM_X86_64))
	binary.LittleEndian.PutUint32(head[20:], 1)
	binary.LittleEndian.PutUint16(head[52:], 64)
	binary.LittleEndian.PutUint16(head[58:], 64)
	f.Add(head)
	f.Fuzz(func(t *testing.T, file []byte) {
		if l, err := layoutIn(file); err == nil && l == (layout{}) {
			t.Error("got an empty layout without an error")
		} else if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v", err)
		}
		p, err := parseBinary(bytes.NewReader(file))
		if err == nil && p.layout == (layout{}) {
			t.Errorf("got %+v", p)
		}
	})
}
