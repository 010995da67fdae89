package poolcfg

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Plans of one config read an ini file once, and again if its state has changed.
func TestPlan_ReadINI(t *testing.T) {
	path := filepath.Join(t.TempDir(), "php.ini")
	write := func(text string, modified time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	files := INIFiles{}
	read := func(files INIFiles) iniFile {
		t.Helper()
		p := &Plan{Inputs: FileStates([]string{path}), iniFiles: files}
		f, err := p.readINI(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	start := time.Now().Add(-time.Hour)
	write("a=1", start)
	first := read(files)
	write("a=2", start) // the state is the same: that it was not read again shows by the text
	if got := read(files); got != first || got.text != "a=1" {
		t.Errorf("unchanged state: got %+v, want %+v", got, first)
	}
	if got := read(nil); got.text != "a=2" || got.sum == first.sum {
		t.Errorf("without INIFiles: got %+v, want the new text", got)
	}
	write("a=3", start.Add(time.Second))
	if got := read(files); got.text != "a=3" || got.sum == first.sum {
		t.Errorf("changed state: got %+v, want the new text", got)
	}
}
