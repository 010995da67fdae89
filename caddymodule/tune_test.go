package caddymodule

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// tunedBy is a pool with these options and a php.ini.
func tunedBy(t *testing.T, o *PoolOptions, phpINI string) *spec {
	t.Helper()
	if isRoot() {
		o.User = "root" // who may read what a test writes
	}
	o.INIScanDir = t.TempDir()
	o.INIFile = filepath.Join(o.INIScanDir, "php.ini-of-the-test")
	if err := os.WriteFile(o.INIFile, []byte(phpINI), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := newSpec(t.Context(), zap.NewNop(), o, anew)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTuneSetsOnlyWhatNobodyElseDoes(t *testing.T) {
	s := tunedBy(t, &PoolOptions{
		Tune: tuneDevelopment, INI: map[string]string{"error_reporting": "E_ERROR", "user_agent": "x"},
		AdminINI: map[string]string{"zend.assertions": "0"},
	}, "display_errors = Off\n")
	if want := map[string]string{"opcache.revalidate_freq": "0", "display_startup_errors": "1"}; !maps.Equal(s.tuned.Sets, want) {
		t.Errorf("sets %v, want %v", s.tuned.Sets, want)
	}
	if want := map[string]string{"display_errors": ""}; !maps.Equal(s.tuned.SetByFiles, want) {
		t.Errorf("left to the files: %v, want %v", s.tuned.SetByFiles, want)
	}
	if want := map[string]string{"error_reporting": "E_ERROR", "zend.assertions": "0"}; !maps.Equal(s.tuned.SetByConfig, want) {
		t.Errorf("left to the config: %v, want %v", s.tuned.SetByConfig, want)
	}
	const text = `tune development sets display_startup_errors=1, opcache.revalidate_freq=0; ini files set display_errors=""; ` +
		`the config sets error_reporting=E_ERROR, zend.assertions=0`
	if s.tuned.Text != text {
		t.Errorf("got  %s\nwant %s", s.tuned.Text, text)
	}
	for name, want := range map[string]string{"opcache.revalidate_freq": "0", "display_errors": "", "error_reporting": "E_ERROR"} {
		if got := named(s.process.INI, name); got != want {
			t.Errorf("PHP is started with %s=%q, want %q", name, got, want)
		}
	}
}

func TestWithoutTuneNothingIsSet(t *testing.T) {
	plain := tunedBy(t, new(PoolOptions), "")
	if plain.tuned != nil || len(plain.process.INI) != 1 {
		t.Errorf("got %+v, %v", plain.tuned, plain.process.INI)
	}
	if s := tunedBy(t, &PoolOptions{Tune: off}, ""); s.tuned != nil || !slices.Equal(s.process.INI, plain.process.INI) {
		t.Errorf("got %+v, %v", s.tuned, s.process.INI)
	}
}

func TestAnotherTuneIsAnotherGeneration(t *testing.T) {
	keys := map[string]string{}
	for _, mode := range []string{off, tuneProduction, tuneDevelopment} {
		s := tunedBy(t, &PoolOptions{Tune: mode}, "")
		if other, ok := keys[s.key]; ok {
			t.Errorf("%s starts the same processes as %s", mode, other)
		}
		keys[s.key] = mode
		if len(s.process.Defaults) > 0 {
			t.Errorf("%s: %v is left to be asked for", mode, s.process.Defaults)
		}
	}
}

func TestTuneIsOneOfThree(t *testing.T) {
	o := PoolOptions{Tune: "fast"}
	if err := o.validate(); err == nil || !strings.Contains(err.Error(), "tune fast is unknown: write production, development or off") {
		t.Errorf("got %v", err)
	}
}

func TestTuneNeverSetsWhatDecidesWhichFileRuns(t *testing.T) {
	for mode, values := range tunings {
		for _, name := range []string{discardPath, "cgi.fix_pathinfo", "open_basedir", "opcache.preload"} {
			if _, ok := values[name]; ok {
				t.Errorf("%s sets %s", mode, name)
			}
		}
	}
}
