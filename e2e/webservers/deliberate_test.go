//go:build linux

package webservers

import (
	"flag"
	"fmt"
	"strings"
)

// delta is an item that differs.
type delta struct {
	item         string
	want, got    string // with php-fpm, with the listener
	extra, lacks bool   // the listener alone has the item, or lacks it
}

// pair holds the observations of one request with both backends.
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
	explain func(pair, delta) bool // nil: another test shows it
}

// explain returns what of deliberate explains a difference, or "".
func (p pair) explain(d delta) string {
	for _, entry := range deliberate {
		if entry.explain != nil && entry.explain(p, d) {
			return entry.what
		}
	}
	for _, is := range documented {
		if is(p, d) {
			return "documented"
		}
	}
	return ""
}

// flagRun is the value of -run.
func flagRun() string { return flag.Lookup("test.run").Value.String() }

// deliberate are the differences that are meant, in the order of the documentation.
var deliberate = []difference{
	{
		what: "a body of unknown length (`Transfer-Encoding: chunked`) through Apache, or through nginx with `fastcgi_request_buffering off`", theirs: "PHP gets nothing", ours: "PHP gets all",
		reason: "clients send such bodies",
		explain: func(p pair, _ delta) bool {
			return p.q.chunked && p.theirs["input length"] != fmt.Sprint(len(p.q.body)) && p.ours["ended"] == "whole" && (p.ours["input length"] == fmt.Sprint(len(p.q.body)) || p.ours["input length"] == "0" && p.ours["files all"] != "[]" || p.ours["post all"] != "[]")
		},
	},
	{
		what: "a body that arrives slowly, with `fastcgi_request_buffering off`", theirs: "PHP reads it while it arrives", ours: "PHP runs when it has arrived",
		reason: "a slow client occupies no worker",
	},
	{
		what: "the ping and status pages", theirs: "no `X-Content-Type-Options`", ours: "`X-Content-Type-Options: nosniff`",
		reason: "they are no HTML",
		explain: func(p pair, d delta) bool {
			return p.q.target == "/fpm/ping" && d.item == "head" && strings.HasSuffix(d.got, "X-Content-Type-Options: nosniff")
		},
	},
	{
		what: "a parameter that is cut by the end of a record", theirs: "the connection is closed", ours: "PHP gets it",
		reason:  "FastCGI allows it (section 3.3)",
		explain: func(p pair, _ delta) bool { return p.q.name == cutParameters && p.ours["input length"] == "5" },
	},
	{
		what: "a management record of an unknown type", theirs: "the connection is closed", ours: "`FCGI_UNKNOWN_TYPE`",
		reason:  "FastCGI requires it (section 4.2)",
		explain: func(p pair, _ delta) bool { return p.q.name == unknownRecord },
	},
	{
		what: "the web server's log for a script that PHP may not open", theirs: "also `Unable to open primary script: ...`", ours: "PHP's own message",
		reason: "it says the same",
		explain: func(_ pair, d delta) bool {
			return d.item == "stderr" && strings.Contains(d.want, "Unable to open primary script")
		},
	},
}

// documented are differences of php-cgi and php-fpm that the table for php_fastcgi has
// already.
var documented = []func(pair, delta) bool{
	func(_ pair, d delta) bool { return d.item == "php sapi" && d.got == "cgi-fcgi" },
	func(_ pair, d delta) bool {
		return d.item == "php functions" && d.want == "[true,false,false,true]" && d.got == "[true,true,true,false]"
	},
	func(_ pair, d delta) bool { return d.item == "php getenv has the request" && d.got == "false" },
	func(_ pair, d delta) bool {
		switch d.item {
		case "var PATH", "var PHP_FCGI_CHILDREN", "var PHP_FCGI_MAX_REQUESTS", "php getenv PATH":
			return d.extra || d.item == "php getenv PATH"
		}
		return false
	},
}
