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

// tracerName is the OpenTelemetry instrumentation scope of the spans.
const tracerName = "github.com/mevdschee/caddy-php-pool"

// startSpan starts the span `php` as a child of the span of Caddy's tracing
// directive, if the site has one and this request is sampled; else it returns nil.
// The headers make this span the parent of PHP's own spans. The request's headers
// still name the parent span, and are not changed.
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

// endSpan ends a span, with attributes and a status. resp is nil if PHP has not
// responded.
func endSpan(span trace.Span, resp *pool.Response, err error) {
	if resp != nil {
		span.SetAttributes(
			attribute.Int64("php_pool.worker", int64(resp.Worker)),
			attribute.Int("process.pid", resp.PID),
			attribute.Int("php_pool.generation", resp.Generation),
			attribute.Float64("php_pool.queue_seconds", resp.Wait.Seconds()),
			attribute.Float64("php_pool.time_to_first_byte_seconds", resp.TimeToFirstByte.Seconds()),
			attribute.Bool("php_pool.retried", resp.Retried),
			attribute.Int("http.response.status_code", resp.HTTP.StatusCode),
		)
		if resp.HTTP.StatusCode >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
	switch {
	case errors.Is(err, errClientClosed):
		span.AddEvent("client closed the connection") // not an error of the server
	case err != nil:
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
