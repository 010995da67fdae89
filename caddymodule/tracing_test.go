package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// tracedSite returns a site whose PHP responds with its traceparent.
func tracedSite(t *testing.T) *Handler {
	t.Helper()
	h := fakeSite(t, testfiles.Write(t, "index.php", "die.php", "late.php"), 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		switch r.Params["SCRIPT_NAME"] {
		case "/die.php":
			return fastcgitest.Response{fastcgitest.Close()}
		case "/late.php":
			return fastcgitest.Reply("Status: 503\r\nContent-Type: text/plain\r\n\r\nlater")
		}
		return fastcgitest.OK(r.Params["HTTP_TRACEPARENT"])
	}))
	h.propagator = autoprop.NewTextMapPropagator()
	return h
}

// tracedRequest returns a request as Caddy's tracing directive passes it on: its
// context has a span, which the header traceparent names.
func tracedRequest(t *testing.T, path string, sampler sdktrace.Sampler) (*http.Request, trace.Span, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithSampler(sampler))
	ctx, span := provider.Tracer("caddy").Start(t.Context(), "handler")
	r := httptest.NewRequest(http.MethodPost, "http://example.com"+path, nil)
	r.Header.Set("traceparent", traceparent(span))
	return prepareRequest(r.WithContext(ctx), new(caddyhttp.Server)), span, spans
}

func traceparent(s trace.Span) string {
	c := s.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

func TestTracing_SpanPerRequest(t *testing.T) {
	h := tracedSite(t)
	for name, serve := range map[string]func(*http.Request) string{
		"handler": func(r *http.Request) string {
			w := httptest.NewRecorder()
			if err := h.ServeHTTP(w, r, nil); err != nil {
				t.Fatal(err)
			}
			return w.Body.String()
		},
		"transport": func(r *http.Request) string {
			res, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
	} {
		r, parent, exported := tracedRequest(t, "/index.php", sdktrace.AlwaysSample())
		php := serve(r)
		spans := exported.GetSpans()
		if len(spans) != 1 {
			t.Fatalf("%s: got %d spans, want 1", name, len(spans))
		}
		s := spans[0]
		if s.Name != "php" || s.SpanKind != trace.SpanKindClient || s.Parent.SpanID() != parent.SpanContext().SpanID() ||
			s.Status.Code != codes.Unset {
			t.Errorf("%s: got %+v", name, s)
		}
		if want := "00-" + s.SpanContext.TraceID().String() + "-" + s.SpanContext.SpanID().String() + "-01"; php != want {
			t.Errorf("%s: PHP got traceparent %q, want %q", name, php, want)
		}
		if got, want := r.Header.Get("traceparent"), traceparent(parent); got != want {
			t.Errorf("%s: traceparent of the request: got %q, want %q", name, got, want)
		}
		attributes := attribute.NewSet(s.Attributes...)
		for key, want := range map[attribute.Key]attribute.Value{
			"php_pool.pool":             attribute.StringValue("test"),
			"php_pool.worker":           attribute.Int64Value(1),
			"php_pool.generation":       attribute.IntValue(1),
			"process.pid":               attribute.IntValue(4001),
			"php_pool.retried":          attribute.BoolValue(false),
			"http.response.status_code": attribute.IntValue(200),
		} {
			if got, _ := attributes.Value(key); got != want {
				t.Errorf("%s: %s: got %v, want %v", name, key, got.AsInterface(), want.AsInterface())
			}
		}
		for _, key := range []attribute.Key{"php_pool.queue_seconds", "php_pool.time_to_first_byte_seconds"} {
			if got, _ := attributes.Value(key); got.AsFloat64() <= 0 {
				t.Errorf("%s: %s: got %v, want a positive time", name, key, got.AsInterface())
			}
		}
	}
}

// TestTracing_SpanEndsBeforeClientReads checks that the span ends when PHP has
// finished: how long the client takes to read the response is not part of it.
func TestTracing_SpanEndsBeforeClientReads(t *testing.T) {
	h := tracedSite(t)
	r, _, spans := tracedRequest(t, "/index.php", sdktrace.AlwaysSample())
	res, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(spans.GetSpans()); n != 1 {
		t.Errorf("before the client has read the body: got %d ended spans, want 1", n)
	}
	res.Body.Close()
	if n := len(spans.GetSpans()); n != 1 {
		t.Errorf("after Close: got %d ended spans, want 1", n)
	}
}

func TestTracing_SpanStatus(t *testing.T) {
	h := tracedSite(t)
	for _, c := range []struct {
		path   string
		status codes.Code
		events int
		failed bool
	}{
		{"/die.php", codes.Error, 1, true},
		{"/late.php", codes.Error, 0, false},
	} {
		r, _, exported := tracedRequest(t, c.path, sdktrace.AlwaysSample())
		if err := h.ServeHTTP(httptest.NewRecorder(), r, nil); (err != nil) != c.failed {
			t.Errorf("%s: got %v", c.path, err)
		}
		spans := exported.GetSpans()
		if len(spans) != 1 || spans[0].Status.Code != c.status || len(spans[0].Events) != c.events {
			t.Errorf("%s: got %+v, want one span with status %v and %d events", c.path, spans, c.status, c.events)
		}
	}
}

func TestTracing_ClientClosedIsNotAnError(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	_, span := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("t").Start(t.Context(), "php")
	endSpan(span, nil, errClientClosed)
	if s := spans.GetSpans()[0]; s.Status.Code != codes.Unset || len(s.Events) != 1 || s.Events[0].Name != "client closed the connection" {
		t.Errorf("got %+v", s)
	}
	_, span = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("t").Start(t.Context(), "php")
	endSpan(span, nil, errors.New("connection reset"))
	if s := spans.GetSpans()[1]; s.Status.Code != codes.Error || s.Status.Description != "connection reset" {
		t.Errorf("got %+v", s)
	}
}

// TestTracing_NotSampled checks that a trace that is not sampled gets no span. PHP
// gets the header of Caddy's span, which says that it is not sampled.
func TestTracing_NotSampled(t *testing.T) {
	h := tracedSite(t)
	r, parent, spans := tracedRequest(t, "/index.php", sdktrace.NeverSample())
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Body.String(), traceparent(parent); got != want || len(spans.GetSpans()) != 0 {
		t.Errorf("PHP got traceparent %q, want %q; got %d spans, want 0", got, want, len(spans.GetSpans()))
	}
}

func TestTracing_OffAllocatesNothing(t *testing.T) {
	b := new(Backend)
	ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{})
	if n := testing.AllocsPerRun(100, func() {
		if span, _ := b.startSpan(ctx, "/srv/index.php"); span != nil {
			t.Fatal("got a span")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
