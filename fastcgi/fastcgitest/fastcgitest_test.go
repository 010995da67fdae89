package fastcgitest_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

const (
	begin       = "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
	param       = "\x01\x04\x00\x01\x00\x04\x00\x00\x01\x01Ab"
	endOfParams = "\x01\x04\x00\x01\x00\x00\x00\x00"
	endOfStdin  = "\x01\x05\x00\x01\x00\x00\x00\x00"
)

func TestReadRequest(t *testing.T) {
	r, err := fastcgitest.ReadRequest(strings.NewReader(
		begin + param + endOfParams + "\x01\x05\x00\x01\x00\x02\x01\x00hi-" + endOfStdin))
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != 1 || r.Role != 1 || !r.KeepConn || r.Params["A"] != "b" || string(r.Body) != "hi" || r.ParamRecords != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestReadRequest_InvalidForPHP(t *testing.T) {
	for name, sent := range map[string]string{
		"no BEGIN":        param,
		"version":         "\x02" + begin[1:],
		"split pair":      begin + "\x01\x04\x00\x01\x00\x03\x00\x00\x01\x01A" + "\x01\x04\x00\x01\x00\x01\x00\x00b" + endOfParams,
		"padding":         begin + "\x01\x04\x00\x01\xff\xff\x01\x00" + strings.Repeat("x", 65536) + endOfParams,
		"STDIN in PARAMS": begin + param + endOfStdin,
		"PARAMS in STDIN": begin + endOfParams + param,
		"truncated":       begin + param[:10],
	} {
		if r, err := fastcgitest.ReadRequest(strings.NewReader(sent)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, r)
		}
	}
}

func TestServe_Steps(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	sendEnd := make(chan struct{})
	served := make(chan error)
	go func() {
		served <- fastcgitest.Serve(server, func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{
				fastcgitest.InPieces(3), fastcgitest.Stdout("abc"), fastcgitest.Wait(sendEnd), fastcgitest.End(), fastcgitest.Close(),
			}
		})
	}()
	if _, err := io.WriteString(client, begin+endOfParams+endOfStdin); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(client)
	got := make([]byte, 16)
	if _, err := io.ReadFull(in, got); err != nil {
		t.Fatal(err)
	}
	if want := "\x01\x06\x00\x01\x00\x03\x05\x00abc\x00\x00\x00\x00\x00"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	close(sendEnd)
	rest, err := io.ReadAll(in)
	if want := fastcgitest.Encode(fastcgitest.Response{fastcgitest.End()}, 1); err != nil || string(rest) != string(want) {
		t.Errorf("got %q, error %v, want %q", rest, err, want)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
