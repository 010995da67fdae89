package devpage

import (
	"slices"
	"time"
)

// loads tells apart what a developer changes and what PHP writes itself while it makes a
// page, such as a cache: if that reloaded the page, that would never end.
//
// A file that has reloaded the page, and changes again while PHP makes the page once more, is
// PHP's. A file that the developer changes in that moment is not lost unless it is the
// same one.
type loads struct {
	cause map[string]bool // the files whose change has reloaded the page
	since time.Time       // when it did last; zero if nothing was reloaded
	pages []load          // that were begun since then
}

type load struct{ begin, end time.Time } // end is zero while PHP makes the page

const (
	// A browser loads the page within this time after a change.
	reloadTime = 10 * time.Second
	// The clock of a file system may be a tick late (CONFIG_HZ=100), and PHP may write what
	// it has to when the page is complete.
	writeTime = 50 * time.Millisecond
	maxLoads  = 100
)

// reloaded records that the page is loaded again at since, because these files have
// changed. since is zero if it is not loaded again.
func (l *loads) reloaded(paths []string, since time.Time) {
	if l.since.IsZero() || since.Sub(l.since) > reloadTime {
		l.cause = map[string]bool{}
	}
	for _, path := range paths {
		l.cause[path] = true
	}
	l.since, l.pages = since, nil
}

// begin records that PHP begins to make a page.
func (l *loads) begin(now time.Time) {
	if !l.since.IsZero() && now.Sub(l.since) <= reloadTime && len(l.pages) < maxLoads {
		l.pages = append(l.pages, load{begin: now})
	}
}

// end records that the page that began at begin is complete.
func (l *loads) end(begin time.Time, now time.Time) {
	for i := range l.pages {
		if l.pages[i].begin.Equal(begin) && l.pages[i].end.IsZero() {
			l.pages[i].end = now
			return
		}
	}
}

// withoutOwn returns the changed paths without those that PHP has written. now is when the
// changes were seen.
func (l *loads) withoutOwn(paths []string, files map[string]fileState, now time.Time) []string {
	return slices.DeleteFunc(paths, func(path string) bool {
		at := now // of a file that was removed
		if state, ok := files[path]; ok {
			at = state.modified
		}
		return l.cause[path] && slices.ContainsFunc(l.pages, func(page load) bool {
			return !at.Before(page.begin.Add(-writeTime)) && (page.end.IsZero() || !at.After(page.end.Add(writeTime)))
		})
	})
}
