package caddymodule

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// tracerName is the instrumentation scope of our spans.
const tracerName = "github.com/mevdschee/caddy-php-pool"

// startSpan begins the span `php` below that of the site's tracing directive,
// where there is one that is recorded. It returns the headers by which PHP goes
// on from this span; the request's own still lead to the span above, and stay.
func (b *Backend) startSpan(ctx context.Context, script string) (trace.Span, http.Header) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return nil, nil
	}
	ctx, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, "php",
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("php_pool.pool", b.pool.Name),
			attribute.String("php_pool.script", script),
		))
	carrier := propagation.HeaderCarrier{}
	b.propagator.Inject(ctx, carrier)
	return span, http.Header(carrier)
}

// endSpan says how it went; x is nil when PHP gave no answer.
func endSpan(span trace.Span, x *pool.Response, err error) {
	if x != nil {
		span.SetAttributes(
			attribute.Int64("php_pool.worker", int64(x.Worker)),
			attribute.Int("process.pid", x.PID),
			attribute.Int("php_pool.generation", x.Generation),
			attribute.Float64("php_pool.queue_seconds", x.Wait.Seconds()),
			attribute.Float64("php_pool.ttfb_seconds", x.TimeToFirstByte.Seconds()),
			attribute.Bool("php_pool.retried", x.Retried),
			attribute.Int("http.response.status_code", x.HTTP.StatusCode),
		)
		if x.HTTP.StatusCode >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
	switch {
	case errors.Is(err, errClientClosed):
		span.AddEvent("client gone") // nobody's error
	case err != nil:
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
