package fastcgi

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// watchedContext counts how often it is watched.
type watchedContext struct {
	context.Context //nolint:containedctx // it is one

	times atomic.Int32
}

func (x *watchedContext) Done() <-chan struct{} {
	x.times.Add(1)
	return x.Context.Done()
}

// TestContext_Reminder has a socket: over one, the wait for a response that arrives soon is
// not watched.
func TestContext_Reminder(t *testing.T) {
	hello := fastcgitest.Response{fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.End()}
	c := connectSocket(t, func(r *fastcgitest.Request) fastcgitest.Response {
		switch r.Params["QUERY_STRING"] {
		case "slow":
			return append(fastcgitest.Response{fastcgitest.Sleep(2 * maxUnwatched)}, hello...)
		case "never":
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		return hello
	})
	base, cancel := context.WithCancel(testContext(t))
	defer cancel()
	do := func(query string) (watched bool, err error) {
		ctx, r := &watchedContext{Context: base}, NewRequest()
		r.AddParam("QUERY_STRING", query)
		resp, err := c.RoundTrip(ctx, r)
		if err == nil {
			resp.Body.Close()
		}
		return ctx.times.Load() > 0, err
	}
	// setDeadline changes what the connection believes of its deadline, and what holds.
	setDeadline := func(reminder, actual time.Time) {
		t.Helper()
		c.canceler.reminder = reminder
		if err := c.nc.SetReadDeadline(actual); err != nil {
			t.Fatal(err)
		}
	}
	hour := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name             string
		reminder, actual time.Time
		query            string
		watched          bool
	}{
		{"first", time.Time{}, time.Time{}, "slow", true},
		{"deadline that is late enough", hour, hour, "", false},
		{"slow with a deadline of an earlier request", hour, time.Now().Add(maxUnwatched), "slow", true},
		{"deadline that has passed before the request was sent", hour, aLongTimeAgo, "", true},
	} {
		setDeadline(tt.reminder, tt.actual)
		if watched, err := do(tt.query); err != nil || watched != tt.watched || !c.Reusable() {
			t.Errorf("%s: watched %t, %v, reusable %t", tt.name, watched, err, c.Reusable())
		}
		if kept := c.canceler.reminder.Equal(hour); kept == tt.watched {
			t.Errorf("%s: the reminder is %v", tt.name, c.canceler.reminder)
		}
	}
	setDeadline(time.Time{}, time.Time{})
	if _, err := do(""); err != nil || c.canceler.reminder.IsZero() {
		t.Errorf("got %v, reminder %v", err, c.canceler.reminder)
	}
	if err := c.Ping(base); err != nil || !c.canceler.reminder.IsZero() {
		t.Errorf("Ping: got %v, reminder %v, want none", err, c.canceler.reminder)
	}
	time.AfterFunc(maxUnwatched/10, cancel)
	if _, err := do("never"); !errors.Is(err, context.Canceled) || c.Reusable() {
		t.Errorf("got %v, reusable %t; want context.Canceled", err, c.Reusable())
	}
}
