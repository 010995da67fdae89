package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"workers", "max_workers", "umask", "ini", "isolate", "memory_limit", "opcache.enable"}
	for name, want := range map[string]string{
		"wrokers": "workers", "worker": "workers", "Workers": "workers", "max_worker": "max_workers", "umsak": "umask",
		"memory_limt": "memory_limit", "opcach.enabel": "opcache.enable", "in": "ini", "iin": "ini", "isolated": "isolate",
		"threads": "", "x": "", "": "", "foo": "", "mask_workers_of": "",
	} {
		if got := Name(name, names); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if got := Name("workerz", nil); got != "" {
		t.Errorf("without candidates: got %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abd", 1}, {"abcd", "acbd", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b, 100); got != c.want {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
