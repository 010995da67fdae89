package devpage

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// sweepInterval is how often a watcher looks at the files. It polls, because inotify
	// reports no changes through bind mounts and on network file systems.
	sweepInterval = 200 * time.Millisecond
	// A sweep may take a tenth of the time.
	restPerSweep = 9
	// settleTime passes without another change before a change is announced: an editor or
	// git writes several files.
	settleTime = 100 * time.Millisecond
	// idleTime is how long a watcher runs when no browser waits for it.
	idleTime = 30 * time.Second
	maxFiles = 50_000
)

// A watcher tells browsers when a file below a directory changes.
type watcher struct {
	dir    string // it may be a symlink, which is followed at each sweep
	logger *zap.Logger
	stop   <-chan struct{}
	// generation returns a number that changes when scripts start again.
	generation func() int
	warned     bool // that there are too many files

	mu      sync.Mutex
	running bool
	files   map[string]fileState // by path below dir, with slashes
	version int                  // counts changes
	reload  int                  // the last version that needs more than new style sheets
	changed chan struct{}        // closed when version changes
	waiting int                  // browsers
	idle    time.Time            // since when nobody waits
	loads   loads
}

// fileState differs before and after a change of a file.
type fileState struct {
	modified time.Time
	size     int64
}

// generationFile stands for the generation among the files. No file has that name.
const generationFile = "//generation"

// touch returns the version of the files as a page sees them that is made now. The watcher
// runs then, for a while.
func (w *watcher) touch() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = time.Now()
	if !w.running {
		w.running = true
		w.announceLocked(w.sweep())
		go w.run()
	}
	return w.version
}

// record changes what is known of the pages that PHP makes.
func (w *watcher) record(change func(*loads)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.loads)
}

// wait blocks until there is a version after seen, or a signal on done. It returns the
// newest version, and whether new style sheets suffice.
func (w *watcher) wait(seen int, done <-chan struct{}) (version int, styleOnly bool) {
	w.touch()
	w.mu.Lock()
	w.waiting++
	for w.version == seen {
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
			w.mu.Lock()
			continue
		case <-done:
		case <-w.stop:
		}
		w.mu.Lock()
		break
	}
	w.waiting--
	w.idle = time.Now()
	version, styleOnly = w.version, seen >= w.reload && seen < w.version
	w.mu.Unlock()
	return version, styleOnly
}

// run sweeps until no browser is interested any more.
func (w *watcher) run() {
	for pause := sweepInterval; ; {
		select {
		case <-time.After(pause):
		case <-w.stop:
			return
		}
		begin := time.Now()
		files := w.sweep()
		pause = max(sweepInterval, restPerSweep*time.Since(begin))
		if len(differences(w.files, files)) > 0 { // only run changes w.files while it runs
			files = w.settle(files)
		}
		w.mu.Lock()
		w.announceLocked(files)
		if w.waiting == 0 && time.Since(w.idle) > idleTime {
			w.running = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}

// settle sweeps until nothing changes any more, for a second at most.
func (w *watcher) settle(files map[string]fileState) map[string]fileState {
	for range time.Second / settleTime {
		time.Sleep(settleTime)
		next := w.sweep()
		if maps.Equal(files, next) {
			break
		}
		files = next
	}
	return files
}

// announceLocked makes files the known ones. If they differ, browsers get a new version.
func (w *watcher) announceLocked(files map[string]fileState) {
	before := w.files
	w.files = files
	if before == nil {
		return
	}
	paths := w.loads.withoutOwn(differences(before, files), files, time.Now())
	if len(paths) == 0 {
		return
	}
	w.version++
	if !slices.ContainsFunc(paths, func(path string) bool { return !isStyle(path) || files[path] == fileState{} }) {
		w.loads.reloaded(paths, time.Time{})
	} else {
		w.reload = w.version
		w.loads.reloaded(paths, time.Now())
	}
	close(w.changed)
	w.changed = make(chan struct{})
	w.logger.Debug("files changed", zap.String("dir", w.dir), zap.Strings("files", paths[:min(len(paths), 10)]))
}

func isStyle(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".css") }

// differences returns the paths whose states differ, sorted.
func differences(a, b map[string]fileState) []string {
	var paths []string
	for path, state := range a {
		if other, ok := b[path]; !ok || other != state {
			paths = append(paths, path)
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

var errTooMany = errors.New("too many files")

// sweep returns the states of the files of the application.
func (w *watcher) sweep() map[string]fileState {
	files := map[string]fileState{generationFile: {size: int64(w.generation())}}
	dir, err := filepath.EvalSymlinks(w.dir)
	if err != nil {
		return files
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read, or is gone, is not watched
		}
		if entry.IsDir() {
			if path != dir && isSkipped(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !isWatched(entry.Name()) {
			return nil
		}
		info, err := entry.Info()
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			info, err = os.Stat(path)
		}
		if err != nil || !info.Mode().IsRegular() {
			return nil //nolint:nilerr // as above
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)] = fileState{info.ModTime(), info.Size()}
		if len(files) > maxFiles {
			return errTooMany
		}
		return nil
	})
	if errors.Is(err, errTooMany) && !w.warned {
		w.warned = true
		w.logger.Warn("dev watches only a part of the files, because there are too many",
			zap.String("dir", w.dir), zap.Int("watched", maxFiles))
	}
	return files
}

// skippedDirs are directories of libraries, and those into which applications write.
var skippedDirs = []string{
	"vendor", "node_modules", "bower_components", "cache", "log", "logs", "tmp", "temp", "sessions", "storage",
	"templates_c", "uploads", "__pycache__",
}

func isSkipped(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(skippedDirs, strings.ToLower(name))
}

// watchedNames are the ends of the names of files that change a page.
var watchedNames = []string{
	".php", ".phtml", ".inc", ".module", ".theme", ".twig", ".tpl", ".latte", ".mustache", ".hbs", ".ctp", ".md",
	".html", ".htm", ".css", ".js", ".mjs", ".json", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".ico",
	".woff", ".woff2", ".yaml", ".yml", ".xml", ".xlf", ".xliff", ".neon", ".ini", ".toml", ".env", ".po", ".mo",
}

func isWatched(name string) bool { return hasSuffix(name, watchedNames) }

// projectFiles mark the directory of an application, whose public files may be in a
// directory of it.
var projectFiles = []string{"composer.json", "package.json", ".git", "artisan"}

// projectDir returns the directory that has the files of a site with this root: root, or
// the one above it.
func projectDir(root string) string {
	parent := filepath.Dir(root)
	if parent == root || parent == string(filepath.Separator) {
		return root
	}
	for _, name := range projectFiles {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			return root
		}
	}
	for _, name := range projectFiles {
		if _, err := os.Lstat(filepath.Join(parent, name)); err == nil {
			return parent
		}
	}
	return root
}
