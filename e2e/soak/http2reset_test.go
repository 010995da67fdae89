//go:build linux

package soak

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestAbuse_HTTP2RapidReset has 20 clients on a few connections reset 6000 streams: some
// right after their headers, some while they are queued, some while PHP runs or sends
// the response (rapid reset, CVE-2023-44487).
func TestAbuse_HTTP2RapidReset(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		const clients, streams = 20, 300
		s := harness.StartAbused(t, b, harness.PoolSite(b, "manager static", "workers 4"), harness.Options{Global: "servers {\nprotocols h1 h2c\n}"})
		transports := make([]*http.Transport, 4)
		for i := range transports {
			transports[i] = &http.Transport{Protocols: new(http.Protocols)}
			transports[i].Protocols.SetUnencryptedHTTP2(true)
		}
		var sent, answered atomic.Int64
		var wg sync.WaitGroup
		for c := range clients {
			transport := transports[c%len(transports)]
			wg.Go(func() {
				for i := range streams {
					ctx, cancel := context.WithCancel(t.Context())
					var body io.Reader
					path := []string{"/hello.php", "/body.php", "/big.php?n=1", "/nap.php?ms=10"}[i%4]
					if i%4 == 1 {
						body = io.LimitReader(harness.Endless{}, 300_000)
					}
					trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Add(1) }}
					switch i % 3 {
					case 0:
						trace.WroteHeaders = func() { sent.Add(1); cancel() }
					case 1:
						trace.GotFirstResponseByte = cancel
					case 2:
						time.AfterFunc(time.Duration(i%20)*time.Millisecond, cancel)
					}
					method := "GET"
					if body != nil {
						method = "POST"
					}
					req := s.Request(method, path, body).WithContext(httptrace.WithClientTrace(ctx, trace))
					res, err := transport.RoundTrip(req)
					if err == nil {
						answered.Add(1)
						io.Copy(io.Discard, res.Body) // it is aborted
						res.Body.Close()
					}
					cancel()
				}
			})
		}
		wg.Wait()
		for _, transport := range transports {
			transport.CloseIdleConnections()
		}
		if sent.Load() < clients*streams/2 {
			t.Errorf("%d of %d requests were sent", sent.Load(), clients*streams)
		}
		t.Logf("%d streams; the response of %d had started", sent.Load(), answered.Load())
		s.CheckAfterwards(250 * harness.MiB)
	})
}
