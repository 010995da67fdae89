package live

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDeployWatch_Worse(t *testing.T) {
	for name, c := range map[string]struct {
		before, since requestCounts
		want          bool
	}{
		"no request":                    {requestCounts{}, requestCounts{}, false},
		"all fail, but few":             {requestCounts{100, 0}, requestCounts{4, 4}, false},
		"all fail":                      {requestCounts{100, 0}, requestCounts{5, 5}, true},
		"all fail, without a before":    {requestCounts{}, requestCounts{5, 5}, true},
		"some fail":                     {requestCounts{1000, 1}, requestCounts{80, 5}, true},
		"few of many fail":              {requestCounts{100000, 0}, requestCounts{1000, 50}, false},
		"as before":                     {requestCounts{100, 40}, requestCounts{100, 45}, false},
		"worse, but not three times":    {requestCounts{100, 10}, requestCounts{100, 30}, false},
		"more than three times":         {requestCounts{100, 10}, requestCounts{100, 31}, true},
		"it cannot be three times more": {requestCounts{100, 50}, requestCounts{100, 100}, false},
	} {
		if got := worse(c.before, c.since); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestDeployReleases_Order(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"1", "2", "3"} {
		if err := os.Mkdir(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := func(names ...string) {
		t.Helper()
		list, err := readReleases(link)
		var got []string
		for _, path := range list {
			got = append(got, filepath.Base(path))
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("got %q, %v, want %q", got, err, names)
		}
	}
	record := func(previous, current string) {
		t.Helper()
		if err := recordRelease(link, previous, current); err != nil {
			t.Fatal(err)
		}
	}
	want()
	if _, err := previousRelease(link, at("1")); err == nil || !strings.Contains(err.Error(), "no release before "+at("1")+" is known") {
		t.Errorf("got %v", err)
	}
	record("", at("1")) // the link did not exist
	record(at("1"), at("2"))
	record(at("2"), at("2")) // again
	want("1", "2")
	record(at("3"), at("1")) // another program had switched to 3
	want("2", "3", "1")
	if previous, err := previousRelease(link, at("1")); filepath.Base(previous) != "3" || err != nil {
		t.Errorf("got %s, %v", previous, err)
	}
	if err := forgetRelease(link, at("1")); err != nil {
		t.Fatal(err)
	}
	want("2", "3")
	if err := os.Remove(at("2")); err != nil {
		t.Fatal(err)
	}
	if _, err := previousRelease(link, at("3")); err == nil {
		t.Error("a release that was removed is no target of a rollback")
	}
}
