package fastcgi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// decoded is the result of decoding a response.
type decoded struct {
	stdout, stderr string
	ended          bool
	status         endStatus
	trailing       int
	err            error
}

// decodeAll decodes wire in pieces of n bytes and takes the content at the end.
func decodeAll(wire []byte, n int) (d decoded) {
	var s stream
	var stderr strings.Builder
	s.init(&stderr)
	defer s.free()
	for len(wire) > 0 && d.err == nil {
		buf := s.writable()
		if len(buf) == 0 {
			s.grow()
			continue
		}
		n := min(n, len(wire), len(buf))
		s.received(copy(buf, wire[:n]))
		wire = wire[n:]
		d.err = s.decode()
	}
	d.stdout, d.stderr = string(s.take()), stderr.String()
	d.ended, d.status, d.trailing = s.ended, s.status, s.trailing()
	return d
}

func TestStream_Decode(t *testing.T) {
	const end = "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, tt := range []struct {
		name, wire string
		want       decoded
	}{
		{"nothing", "", decoded{}},
		{"content", "\x01\x06\x00\x01\x00\x03\x00\x00abc", decoded{stdout: "abc"}},
		{"padding", "\x01\x06\x00\x01\x00\x03\x05\x00abc-----" + end, decoded{stdout: "abc", ended: true}},
		{
			"several records", "\x01\x06\x00\x01\x00\x03\x01\x00abc-" + "\x01\x06\x00\x01\x00\x02\x00\x00de" + end,
			decoded{stdout: "abcde", ended: true},
		},
		{
			"STDERR before and between",
			"\x01\x07\x00\x01\x00\x01\x00\x00!" + "\x01\x06\x00\x01\x00\x01\x00\x00a" + "\x01\x07\x00\x01\x00\x01\x07\x00?-------" + "\x01\x06\x00\x01\x00\x01\x00\x00b" + end,
			decoded{stdout: "ab", stderr: "!?", ended: true},
		},
		{
			"empty records", "\x01\x06\x00\x01\x00\x00\x00\x00" + "\x01\x07\x00\x01\x00\x00\x00\x00" + "\x01\x06\x00\x01\x00\x00\x02\x00--" + end,
			decoded{ended: true},
		},
		{"END_REQUEST with padding", "\x01\x03\x00\x01\x00\x08\x03\x00\x00\x00\x00\x07\x02\x00\x00\x00---", decoded{ended: true, status: overloaded}},
		{"trailing bytes", end + "xyz", decoded{ended: true, trailing: 3}},
	} {
		for n := 1; n <= max(1, len(tt.wire)); n++ {
			if got := decodeAll([]byte(tt.wire), n); got != tt.want {
				t.Errorf("%s in pieces of %d: got %+v, want %+v", tt.name, n, got, tt.want)
			}
		}
	}
}

func TestStream_InvalidRecord(t *testing.T) {
	for name, wire := range map[string]string{
		"version":           "\x02\x06\x00\x01\x00\x00\x00\x00",
		"HTTP":              "HTTP/1.1 200 OK\r\n",
		"type 0":            "\x01\x00\x00\x01\x00\x00\x00\x00",
		"type 12":           "\x01\x0c\x00\x01\x00\x00\x00\x00",
		"STDIN":             "\x01\x05\x00\x01\x00\x00\x00\x00",
		"GET_VALUES_RESULT": "\x01\x0a\x00\x00\x00\x00\x00\x00",
		"id 0":              "\x01\x06\x00\x00\x00\x00\x00\x00",
		"id 257":            "\x01\x06\x01\x01\x00\x00\x00\x00",
		"END of 7 bytes":    "\x01\x03\x00\x01\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"END of 9 bytes":    "\x01\x03\x00\x01\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		if got := decodeAll([]byte(wire), len(wire)); got.err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStream_ContentLargerThanBuffer(t *testing.T) {
	want := strings.Repeat("0123456789abcdef", 1<<16)
	wire := fastcgitest.Encode(fastcgitest.Reply(want), requestID)
	var s stream
	s.init(nil)
	defer s.free()
	var got strings.Builder
	for !s.ended {
		n := copy(s.writable(), wire)
		s.received(n)
		wire = wire[n:]
		if err := s.decode(); err != nil {
			t.Fatal(err)
		}
		got.Write(s.take())
	}
	if got.String() != want {
		t.Errorf("got %d bytes, want %d", got.Len(), len(want))
	}
}

func TestStream_ContentBeyondLimitDiscarded(t *testing.T) {
	for limit := range 12 {
		var s stream
		s.init(nil)
		wire := fastcgitest.Encode(fastcgitest.Response{
			fastcgitest.Stdout("abc"), fastcgitest.Stdout("def"), fastcgitest.Stdout("ghi"), fastcgitest.End(),
		}, requestID)
		half := len(wire) / 2
		s.received(copy(s.writable(), wire[:half]))
		if err := s.decode(); err != nil {
			t.Fatal(err)
		}
		s.setLimit(int64(limit))
		s.received(copy(s.writable(), wire[half:]))
		if err := s.decode(); err != nil {
			t.Fatal(err)
		}
		if got, want := string(s.take()), "abcdefghi"[:min(limit, 9)]; got != want {
			t.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
		if want := int64(max(0, limit-9)); s.limit != want || !s.ended {
			t.Errorf("limit %d: got remaining limit %d, ended %v, want %d, true", limit, s.limit, s.ended, want)
		}
		s.free()
	}
}

// FuzzRecord decodes arbitrary bytes, at once and in pieces, and checks that the
// result is the same.
func FuzzRecord(f *testing.F) {
	f.Add(fastcgitest.Encode(fastcgitest.OK("hello"), requestID), uint16(1))
	f.Add(fastcgitest.Encode(fastcgitest.Response{
		fastcgitest.Stderr("warning"), fastcgitest.Stdout("abc"), fastcgitest.EndStatus(1, 2),
	}, requestID), uint16(7))
	f.Add([]byte("\x01\x06\x00\x01\xff\xff\xff\x00"), uint16(3))
	f.Fuzz(func(t *testing.T, wire []byte, n uint16) {
		whole := decodeAll(wire, len(wire))
		pieces := decodeAll(wire, int(n)+1)
		if fmt.Sprint(whole.err) != fmt.Sprint(pieces.err) {
			t.Errorf("got error %v, in pieces of %d: %v", whole.err, int(n)+1, pieces.err)
		}
		whole.trailing, pieces.trailing, whole.err, pieces.err = 0, 0, nil, nil
		if whole != pieces {
			t.Errorf("got %+v, in pieces of %d: %+v", whole, int(n)+1, pieces)
		}
	})
}
