//go:build linux

package webservers

import (
	"flag"
)

// delta is an item that differs.
type delta struct {
	item         string
	want, got    string // with php-fpm, with the listener
	extra, lacks bool   // the listener alone has the item, or lacks it
}

// pair is what was seen of one request with both backends.
type pair struct {
	q            *request
	front        front
	theirs, ours seen
}

// difference is one that is meant. docs/migrating.md lists them.
type difference struct {
	what    string // that differs
	theirs  string // with php-fpm
	ours    string
	reason  string
	explain func(pair, delta) bool // nil: a test of its own shows it
}

// explain returns what of deliberate explains a difference, or "".
func (p pair) explain(d delta) string {
	for _, entry := range deliberate {
		if entry.explain != nil && entry.explain(p, d) {
			return entry.what
		}
	}
	return ""
}

// flagRun is the value of -run.
func flagRun() string { return flag.Lookup("test.run").Value.String() }

// deliberate are the differences that are meant, in the order of the documentation.
var deliberate = []difference{}
