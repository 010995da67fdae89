package release

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The path of a root may lead through the link by several ways.
func TestRelease_Path(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) string { return filepath.Join(dir, filepath.FromSlash(path)) }
	for _, path := range []string{"releases/1/public", "releases/2/public", "other"} {
		if err := os.MkdirAll(at(path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"current": "releases/1", "www": "current/public", "absolute": at("current"), "alias": ".", "loop": "loop", "currently": "other",
	} {
		if err := os.Symlink(filepath.FromSlash(target), at(link)); err != nil {
			t.Skipf("no symlinks: %v", err)
		}
	}
	r := &Release{Link: at("current"), Dir: at("releases/2")}
	for path, want := range map[string]string{
		"current": "releases/2", "current/public": "releases/2/public", "current/missing/x.php": "releases/2/missing/x.php",
		"www": "releases/2/public", "absolute/public": "releases/2/public", "alias/current/public": "releases/2/public",
		"other/../current": "releases/2",
		// These do not lead through it.
		"releases/1/public": "releases/1/public", "other": "other", "currently": "currently", "loop": "loop", "missing": "missing",
	} {
		if got := r.Path(at(path)); got != at(want) {
			t.Errorf("%s: got %s, want %s", path, got, at(want))
		}
	}
	if got := (&Release{}).Path(at("current")); got != at("current") {
		t.Errorf("without a link: got %s", got)
	}
	if r.Used() {
		t.Error("used without a root")
	}
	if r.Root(at("other")); r.Used() {
		t.Error("used by a root that does not lead through the link")
	}
	if r.Root(at("www")); !r.Used() || !slices.Equal(r.Roots(), []string{at("other"), at("www")}) {
		t.Errorf("got %v, roots %q", r.Used(), r.Roots())
	}
	if got, want := Links(at("www")), []string{at("www"), at("current")}; !slices.Equal(got, want) {
		t.Errorf("links: got %q, want %q", got, want)
	}
	// The link of a first release does not exist yet.
	first := &Release{Link: at("first"), Dir: at("releases/2")}
	if got := first.Path(at("first/public")); got != at("releases/2/public") {
		t.Errorf("got %s", got)
	}
	if got, err := Canonical(at("alias/current")); got != at("current") || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}
