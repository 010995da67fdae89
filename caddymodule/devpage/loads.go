package devpage

import (
	"slices"
	"time"
)

// loads tells apart what a developer changes and what PHP writes itself while it makes a
// page, such as a cache: if that reloaded the page, that would never end.
//
// A file that has reloaded the page, and changes again while PHP makes the page once more,
// may be PHP's: after the third time it is. From then on only a change at another moment
// counts. A developer who saves a file in that moment, once or twice, loses nothing.
type loads struct {
	cause   map[string]bool // the files whose change has reloaded the page
	strikes map[string]int  // how often a file has changed while PHP made the page
	since   time.Time       // when the page was reloaded last; zero if it was not
	pages   []load          // that were begun since then
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
		if !l.whileMade(at) {
			delete(l.strikes, path)
			return false
		}
		if l.strikes[path] >= maxStrikes {
			return true
		}
		if l.cause[path] {
			if l.strikes == nil {
				l.strikes = map[string]int{}
			}
			l.strikes[path]++
		}
		return false
	})
}

// maxStrikes is how often a file may change while PHP makes the page before it is PHP's.
const maxStrikes = 2

// whileMade reports whether PHP made a page at a time.
func (l *loads) whileMade(at time.Time) bool {
	return slices.ContainsFunc(l.pages, func(page load) bool {
		return !at.Before(page.begin.Add(-writeTime)) && (page.end.IsZero() || !at.After(page.end.Add(writeTime)))
	})
}
