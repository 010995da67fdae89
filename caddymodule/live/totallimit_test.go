package live

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// someConfig is an Owner.
type someConfig struct{ name string }

func (*someConfig) HTTPApp() (*caddyhttp.App, error) { return nil, nil } //nolint:nilnil // not called

// The limit is that of the active config: the next one's applies when that has stopped.
func TestMaxWorkersTotal_ActiveConfig(t *testing.T) {
	want := func(n int) {
		t.Helper()
		if _, got := total.Usage(); got != n {
			t.Errorf("got %d, want %d", got, n)
		}
	}
	first, failing, second, third := &someConfig{"1"}, &someConfig{"failing"}, &someConfig{"2"}, &someConfig{"3"}
	StageTotal(first, 5)
	want(5)
	StageTotal(failing, 1)
	want(5)
	UnstageTotal(failing)
	TotalStopped(failing)
	want(5)
	StageTotal(second, 7)
	UnstageTotal(first) // as its Stop does
	want(5)
	TotalStopped(first)
	want(7)
	TotalStopped(second) // no config follows
	want(0)
	StageTotal(third, 3)
	want(3)
	TotalStopped(third)
}

func TestMaxWorkersTotal_TooLow(t *testing.T) {
	for want, c := range map[string]struct {
		limit  int
		minima map[string]int
	}{
		"":                      {0, map[string]int{"a": 100}},
		"less than the 5":       {4, map[string]int{"static": 4, "dynamic": 1}},
		"less than the 6":       {5, map[string]int{"static": 4, "dynamic": 1, "ondemand": 0}},
		"for all that are onde": {1, map[string]int{"x": 1, "y": 0, "z": 0}},
	} {
		err := CheckTotal(c.limit, c.minima)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %s", c, err, want)
		}
	}
	for limit, minima := range map[int]map[string]int{5: {"static": 4, "dynamic": 1}, 1: {"x": 0, "y": 0}} {
		if err := CheckTotal(limit, minima); err != nil {
			t.Errorf("%d for %v: got %v", limit, minima, err)
		}
	}
}
