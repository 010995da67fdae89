package devpage

import (
	"context"
	_ "embed" // dev.js
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Paths of the browser's part, below the prefix of RFC 8615.
const (
	ownPrefix  = "/.well-known/php_pool/dev"
	scriptPath = ownPrefix + ".js"
	eventsPath = ownPrefix + "/changes"
)

//go:embed dev.js
var devScript string

// ServeOwn responds to a request for a part of the package itself, and reports whether it
// was one. root and generation are as in [Options.Begin].
func (o *Options) ServeOwn(w http.ResponseWriter, r *http.Request, root string, generation func() int) bool {
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, ownPrefix) {
		return false
	}
	switch r.URL.Path {
	case scriptPath:
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte(devScript))
	case eventsPath:
		o.serveChanges(w, r, o.watch(root, generation))
	default:
		return false
	}
	return true
}

// watch returns the watcher of a site with this root.
func (o *Options) watch(root string, generation func() int) *watcher {
	dir := projectDir(root)
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.watchers[dir]
	if w == nil {
		const most = 100 // a root may have placeholders that the request controls
		if len(o.watchers) >= most {
			clear(o.watchers)
		}
		w = &watcher{dir: dir, logger: o.logger, stop: o.stopping, generation: generation, changed: make(chan struct{})}
		o.watchers[dir] = w
	}
	return w
}

// pingTime is how often a browser that waits gets something, so that a proxy in front does
// not close the connection.
const pingTime = 20 * time.Second

// serveChanges tells the browser when files change, as a stream of events (HTML standard,
// section 9.2), until it leaves or the config stops.
func (o *Options) serveChanges(w http.ResponseWriter, r *http.Request, watcher *watcher) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	seen := r.Header.Get("Last-Event-Id") // what the browser has got, if it connects again
	if seen == "" {
		seen = r.URL.Query().Get("version")
	}
	version := -1 // of another config, or none: it is old
	if start, number, ok := strings.Cut(seen, "-"); ok && start == o.start {
		if n, err := strconv.Atoi(number); err == nil {
			version = n
		}
	}
	fmt.Fprint(w, "retry: 300\n\n")
	for control.Flush() == nil {
		ctx, cancel := context.WithTimeout(r.Context(), pingTime)
		next, styleOnly := watcher.wait(version, ctx.Done())
		cancel()
		select {
		case <-r.Context().Done():
			return
		case <-o.stopping:
			return
		default:
		}
		switch {
		case next == version:
			fmt.Fprint(w, ": nothing has changed\n\n")
			continue
		case styleOnly:
			fmt.Fprint(w, "event: style\n")
		default:
			fmt.Fprint(w, "event: reload\n")
		}
		version = next
		fmt.Fprintf(w, "id: %[1]s-%[2]d\ndata: %[2]d\n\n", o.start, version)
	}
}
