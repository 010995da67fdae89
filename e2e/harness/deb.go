//go:build linux

package harness

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// UnpackDebs extracts Debian packages, which make deps downloaded, into a temporary
// directory. They are not installed.
func UnpackDebs(tb testing.TB, packages ...string) string {
	tb.Helper()
	var files []string
	for _, name := range packages {
		found, _ := filepath.Glob(filepath.Join(CacheDir(tb), name+"_*.deb"))
		if len(found) == 0 {
			tb.Fatalf("the package %s is missing in %s: run make deps-apps", name, CacheDir(tb))
		}
		files = append(files, found[len(found)-1])
	}
	return unpack(tb, files)
}

// UnpackApp does the same with packages and all libraries that they depend on. It skips
// the test if this release lacks one of them.
func UnpackApp(tb testing.TB, names ...string) string {
	tb.Helper()
	files := map[string]string{} // by name: packages have libraries in common
	for _, name := range names {
		cache := filepath.Join(CacheDir(tb), name)
		if why, err := os.ReadFile(filepath.Join(cache, "missing")); err == nil {
			tb.Skip(strings.TrimSpace(string(why)))
		}
		found, _ := filepath.Glob(filepath.Join(cache, "*.deb"))
		if len(found) == 0 {
			tb.Fatalf("the package %s is missing in %s: run make deps-apps", name, cache)
		}
		for _, file := range found {
			files[filepath.Base(file)] = file
		}
	}
	return unpack(tb, slices.Collect(maps.Values(files)))
}

func unpack(tb testing.TB, files []string) string {
	tb.Helper()
	dir := TempDir(tb)
	for _, file := range files {
		if out, err := exec.Command("dpkg", "-x", file, dir).CombinedOutput(); err != nil {
			tb.Fatalf("dpkg -x: %v: %s", err, out)
		}
	}
	relocate(tb, dir)
	ChownToPHP(tb, dir)
	if err := os.Chmod(dir, 0o755); err != nil { // dpkg gives it the package's mode
		tb.Fatal(err)
	}
	return dir
}

// MovePaths makes the absolute paths in an unpacked file point below dir.
func MovePaths(tb testing.TB, dir, file string) {
	tb.Helper()
	path := filepath.Join(dir, file)
	WriteFile(tb, path, quotedPath.ReplaceAllString(ReadFile(tb, path), "${1}"+dir+"${2}"))
}

var quotedPath = regexp.MustCompile(`(['"])(/(?:etc|usr|var)/)`)

// relocate makes absolute links to unpacked files point below dir, also to files that
// the application will create.
func relocate(tb testing.TB, dir string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		to, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(to, "/") {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, filepath.Dir(to))); err != nil {
			return nil // it points to a file of the system
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.Symlink(filepath.Join(dir, to), path)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Picture returns a PNG that does not compress well.
func Picture(tb testing.TB) []byte {
	tb.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	b := Pattern(640 * 480 * 3)
	for i := range 640 * 480 {
		img.Set(i%640, i/640, color.RGBA{b[3*i], b[3*i+1], b[3*i+2], 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}
