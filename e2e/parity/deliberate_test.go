//go:build linux

package parity

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pair holds the observations of two sides of one request.
type pair struct {
	q            *request
	side         side
	theirs, ours seen
}

// difference is one that is meant. docs/migrating.md lists them.
type difference struct {
	what    string // that differs
	theirs  string // with php_fastcgi and php-fpm
	ours    string
	reason  string
	explain func(pair, delta) bool
}

// explain returns what of deliberate explains a difference, or "".
func (p pair) explain(d delta) string {
	for _, entry := range deliberate {
		if entry.explain(p, d) {
			return entry.what
		}
	}
	return ""
}

// deliberate are the differences that are meant, in the order of the documentation.
var deliberate = []difference{
	// the variables
	{
		what: "`PHP_SAPI`", theirs: "`fpm-fcgi`", ours: "`cgi-fcgi`",
		reason:  "php-cgi runs the scripts",
		explain: func(_ pair, d delta) bool { return d.item == "php sapi" && d.got == "cgi-fcgi" },
	},
	{
		what: "functions", theirs: "`fpm_get_status()`", ours: "`headers_send()`, `apache_response_headers()`; both have `fastcgi_finish_request()`",
		reason: "the status page has what `fpm_get_status()` returns",
		explain: func(_ pair, d delta) bool {
			return d.item == "php functions" && d.want == "[true,false,false,true]" && d.got == "[true,true,true,false]"
		},
	},
	{
		what: "environment variables in `$_SERVER`", theirs: "`USER`, `HOME`", ours: "`PATH`, `HOME` and others",
		reason: "php-cgi adds those of its process, which `process_env` sets",
		explain: func(_ pair, d delta) bool {
			switch d.item {
			case "var PATH", "var PHP_FCGI_CHILDREN", "var PHP_FCGI_MAX_REQUESTS", "var LANG", "var TZ", "var TMPDIR", "var HOME", "var PHP_INI_SCAN_DIR":
				return d.extra || d.item == "var HOME"
			case "var USER", "var FCGI_ROLE", "php getenv PATH":
				return true
			}
			return false
		},
	},
	{
		what: "`getenv()` without a name", theirs: "has the variables of the request", ours: "has the environment of the process only",
		reason:  "php-cgi does it so; `getenv('REQUEST_URI')` and `$_SERVER` have them",
		explain: func(_ pair, d delta) bool { return d.item == "php getenv has the request" && d.got == "false" },
	},
	{
		what: "`REDIRECT_STATUS`", theirs: "missing", ours: "200, or the status of the error in `handle_errors`",
		reason:  "other web servers set it, and a php-cgi may be built to require it",
		explain: func(_ pair, d delta) bool { return d.item == "var REDIRECT_STATUS" && d.extra },
	},
	{
		what: "two Cookie header fields", theirs: "joined with `, `", ours: "joined with `; `",
		reason: "PHP takes a comma for a part of the value (RFC 6265 section 5.4)",
		explain: func(p pair, d delta) bool {
			return len(p.q.fields) == 2 && strings.HasPrefix(p.q.fields[1], "Cookie:") && (d.item == "var HTTP_COOKIE" || d.item == "headers Cookie" || d.item == "cookie all") &&
				strings.Contains(p.ours["var HTTP_COOKIE"], "; ")
		},
	},
	{
		what: "header names with anything but letters, digits and `-`", theirs: "passed on, except `_`", ours: "dropped",
		reason: "PHP cannot tell `X.Y` or `X_Y` from `X-Y`, which a proxy may have set",
		explain: func(_ pair, d delta) bool {
			name, ok := strings.CutPrefix(d.item, "var HTTP_")
			if !ok {
				name, ok = strings.CutPrefix(d.item, "headers ")
			}
			return ok && d.lacks && strings.ContainsAny(name, "!#$%&'*+.^`|~")
		},
	},
	{
		what: "`HTTP_CONTENT_LENGTH` without a body", theirs: "0", ours: "missing",
		reason: "the client has sent no such header",
		explain: func(_ pair, d delta) bool {
			return (d.item == "var HTTP_CONTENT_LENGTH" || d.item == "headers Content-Length") && d.lacks && d.want == "0"
		},
	},
	{
		what: "`CONTENT_LENGTH` of a body that does not reach PHP, as with `method GET`", theirs: "that of the client", ours: "0",
		reason: "it is the length of the body that PHP gets",
		explain: func(p pair, d delta) bool {
			return p.q.site == "method" && strings.Contains(strings.ToUpper(d.item), "CONTENT") && (d.got == "0" || d.lacks)
		},
	},
	{
		what: "methods in lower case", theirs: "`post` becomes `POST`, and so does `get`", ours: "as they were sent",
		reason: "methods are case-sensitive (RFC 9110 section 9.1)",
		explain: func(p pair, d delta) bool {
			return strings.ToUpper(p.q.method) != p.q.method && p.ours["var REQUEST_METHOD"] == p.q.method &&
				(d.item == "var REQUEST_METHOD" || d.item == "php getenv REQUEST_METHOD" || d.item == "post all" || d.item == "request all")
		},
	},
	{
		what: "`env REQUEST_METHOD`", theirs: "without effect", ours: "sets it",
		reason: "`env` sets every other variable",
		explain: func(p pair, d delta) bool {
			return p.q.site == "env-script-name" && p.ours["var REQUEST_METHOD"] == "PATCH" &&
				(d.item == "var REQUEST_METHOD" || d.item == "php getenv REQUEST_METHOD" || d.item == "post all" || d.item == "request all")
		},
	},
	// request bodies
	{
		what: "a body of unknown length above 4 KiB", theirs: "411, unless `request_buffers` is larger", ours: "reaches PHP, whatever its size",
		reason: "clients send such bodies",
		explain: func(p pair, _ delta) bool {
			return p.theirs.code() == "411" && p.q.body.chunked && (p.ours.code() == "200" || p.ours.code() == "413")
		},
	},
	{
		what: "the body of an OPTIONS request", theirs: "dropped", ours: "reaches PHP",
		reason: "RFC 9110 section 9.3.7 allows one",
		explain: func(p pair, d delta) bool {
			return p.q.method == "OPTIONS" && p.q.body != nil && p.ours["input length"] == fmt.Sprint(len(p.q.body.data)) &&
				(strings.HasPrefix(d.item, "input ") || strings.Contains(d.item, "CONTENT_LENGTH") || d.item == "headers Content-Length")
		},
	},
	{
		what: "`Expect: 100-continue` without a body", theirs: "100 by HTTP/2", ours: "no 100",
		reason: "there is nothing to wait for",
		explain: func(p pair, d delta) bool {
			return d.item == "interim" && d.lacks && d.want == "100 \n" && p.q.body == nil
		},
	},
	{
		what: "PHP in `handle_errors` after a body was rejected (413)", theirs: "an empty 413", ours: "the page, run with an empty body",
		reason: "the visitor sees the page",
		explain: func(p pair, _ delta) bool {
			return p.q.site == "errors-limit" && (p.theirs.code() == "413" || p.theirs.code() == "411") && strings.HasSuffix(p.ours["php script"], "/error.php")
		},
	},
	// which script runs
	{
		what: "a script that does not exist, or that PHP may not read", theirs: "a page of php-fpm: `File not found.`, `No input file specified.` or `Access denied.`", ours: "Caddy's own 404 or 403",
		reason:  "`handle_errors` sees it, and no worker is needed",
		explain: func(p pair, _ delta) bool { return p.rejectedByFPM() && p.rejectedByUs() },
	},
	{
		what: "an extension other than `.php`, also `.PHP`", theirs: "403 until `security.limit_extensions` of php-fpm has it, too", ours: "`split` allows it",
		reason: "one list is enough",
		explain: func(p pair, _ delta) bool {
			script := p.ours["php script"]
			return p.theirs["body"] == "Access denied.\n" && script != "" && !strings.HasSuffix(script, ".php")
		},
	},
	{
		what: "names with `.php` before their end: the directory `dir.php/` with an index, `two.php.php`, `old.php5` with `split .php .php5`", theirs: "the index of the site runs, another file, or none", ours: "the file runs",
		reason: "it exists",
		explain: func(p pair, _ delta) bool {
			script := p.ours["php script"]
			if p.q.site == "env-script" {
				return strings.Contains(p.ours["var SCRIPT_NAME"], ".php.d/") || strings.Contains(p.ours["var SCRIPT_NAME"], ".php/")
			}
			return script != "" && script != p.theirs["php script"] && strings.Contains(strings.TrimSuffix(script, ".php"), ".php") && !strings.HasSuffix(script, ".phtml")
		},
	},
	{
		what: "a NUL byte in the path", theirs: "the index runs", ours: "404 or 400",
		reason: "no file has such a name",
		explain: func(p pair, _ delta) bool {
			return strings.Contains(p.q.target, "%00") && !strings.Contains(p.q.target, "?") && (p.ours["php script"] == "" || p.q.site == "errors-php")
		},
	},
	{
		what: "`root` in the directive that is not that of the site", theirs: "`try_files` looks in the site's root, and PHP in the other", ours: "scripts are in that one, other files in the site's",
		reason:  "the script that is found is the one that runs",
		explain: func(p pair, _ delta) bool { return p.q.site == "inner-root" || p.q.site == "no-root" },
	},
	{
		what: "`resolve_root_symlink`", theirs: "off", ours: "on; `resolve_root_symlink off` turns it off",
		reason: "a deploy that switches a symlink never mixes two releases",
		explain: func(p pair, d delta) bool {
			return p.q.site == "link-root" && d.got == strings.Replace(d.want, "/site/current", "/site/release1", 1)
		},
	},
	{
		what: "PHP source that `split` does not run, dotfiles, dumps and the like", theirs: "`file_server` sends them", ours: "404; `hide_sensitive off` sends them",
		reason: "they hold passwords",
		explain: func(p pair, _ delta) bool {
			return p.hidden() && (p.theirs["header Etag"] != "" || p.theirs["header X-Powered-By"] == "" && p.theirs["body"] == "" && sensitive.MatchString(p.q.target))
		},
	},
	// responses
	{
		what: "`Via` and `Server` in responses", theirs: "`Via: 0.0 Caddy`, no `Server`", ours: "`Server: Caddy`; `Via: 1.1 Caddy` with an option of reverse_proxy",
		reason: "PHP's responses are Caddy's own, and the version of HTTP is not 0.0",
		explain: func(p pair, d delta) bool {
			switch d.item {
			case "header Server":
				return p.side == lean && d.extra
			case "header Via":
				return p.side == lean && d.lacks && strings.HasPrefix(d.want, "0.0 Caddy") || d.got == strings.ReplaceAll(d.want, "0.0 Caddy", "1.1 Caddy") || d.got == strings.TrimPrefix(d.want, "0.0 Caddy | ")
			}
			return false
		},
	},
	{
		what: "the response header `Status`", theirs: "reaches the client", ours: "dropped",
		reason:  "it is for the web server (RFC 3875 section 6.3.3)",
		explain: func(_ pair, d delta) bool { return d.item == "header Status" && d.lacks },
	},
	{
		what: "the length of a response without `Content-Length`", theirs: "announced up to 2 KiB, even if the script flushes", ours: "announced up to 128 KiB, unless the script flushes and goes on",
		reason: "a worker is free while a slow client reads, and what PHP flushes arrives at once",
		explain: func(p pair, d delta) bool {
			return (d.item == "framing" && !strings.Contains(p.q.php, "Content-Length") || d.item == "first bytes") && p.ours["ended"] == "whole"
		},
	},
	{
		what: "a status that no response may have, such as 0, 101 or 1000", theirs: "the connection is closed without a response, and php-fpm's worker hangs for a while", ours: "502",
		reason: "the client gets a response",
		explain: func(p pair, _ delta) bool {
			return slices.Contains(impossibleStatuses, p.q.php) && p.ours.code() == "502" && p.ours["body"] == ""
		},
	},
	{
		what: "interim responses, such as 103", theirs: "to HTTP/1.0 as well, twice with `encode`, changed by `header_down`", ours: "once, by HTTP/1.1 and newer, as the script sent them",
		reason: "a client of HTTP/1.0 takes them for the response (RFC 9110 section 15.2)",
		explain: func(p pair, d delta) bool {
			return d.item == "interim" && (p.q.proto == h10 && d.lacks || p.q.site == "encode" && strings.Count(d.want, "\n") == 2 && strings.HasPrefix(d.want, d.got) ||
				p.q.site == "header-down" && strings.Contains(d.got, "Link"))
		},
	},
	{
		what: "a page of PHP that `intercept` puts in place of a response with `Content-Length`", theirs: "has that length, too: the client takes it for broken", ours: "arrives",
		reason: "the visitor sees the page",
		explain: func(p pair, _ delta) bool {
			return p.side == lean && p.q.site == "intercept-php" && strings.Contains(p.q.php, "Content-Length") && p.theirs["ended"] == "cut" && p.ours["ended"] == "whole"
		},
	},
	{
		what: "`Transfer-Encoding: chunked` of a script to HEAD, beside a `Content-Length`, or without chunks", theirs: "breaks the connection", ours: "the response arrives",
		reason: "the client sends its next request there",
		explain: func(p pair, _ delta) bool {
			return strings.Contains(p.q.php, "Transfer-Encoding: ") && (p.q.method == "HEAD" || strings.Contains(p.q.php, "Content-Length") || strings.Contains(p.q.php, "not chunks")) && p.ours["ended"] == "whole"
		},
	},
	{
		what: "a header line that HTTP does not allow", theirs: "502", ours: "the line is dropped",
		reason: "as in nginx and Apache, the page arrives",
		explain: func(p pair, _ delta) bool {
			return (p.theirs.code() == "502" || strings.Contains(p.theirs["error"], "invalid header field name")) && p.ours.code() == "200" && strings.Contains(p.q.php, "header(")
		},
	},
	{
		what: "a `Content-Length` that is not a number", theirs: "reaches the client, which takes the response for broken", ours: "dropped",
		reason: "the page arrives",
		explain: func(p pair, _ delta) bool {
			return badLength.MatchString(p.q.php) && p.ours["ended"] == "whole" && p.ours.code() == "200"
		},
	},
	{
		what: "a body or a `Content-Length` with 204 or 304", theirs: "breaks the connection", ours: "dropped",
		reason: "the client sends its next request there",
		explain: func(p pair, _ delta) bool {
			return (p.ours.code() == "204" || p.ours.code() == "304") && p.ours["ended"] == "whole" && (strings.Contains(p.q.php, "echo") || strings.Contains(p.q.php, "Content-Length"))
		},
	},
}

// hidden reports whether the response is that for a hidden file, or the page of
// handle_errors for it.
func (p pair) hidden() bool {
	switch p.q.site {
	case "errors":
		return p.ours["body"] == "own page 404"
	case "errors-php":
		return strings.HasSuffix(p.ours["php script"], "/error.php")
	}
	return p.ours.code() == "404" && p.ours["body"] == ""
}

// sensitive are targets that hide_sensitive hides.
var sensitive = regexp.MustCompile(`(?i)/\.|\.(php\d|phtml|phps|inc|sql|bak)|~$`)

// badLength matches scripts with a Content-Length that is not a number.
var badLength = regexp.MustCompile(`Content-Length: ?(abc|-1|'|5, 5|\+5|99999999999999999999)|Content-Length: 6`)

// rejectedByFPM reports whether php-fpm itself, and no script, wrote the response.
func (p pair) rejectedByFPM() bool {
	if p.theirs["header Status"] == "" || p.theirs["header X-Powered-By"] != "" {
		return false
	}
	switch p.theirs["body"] {
	case "File not found.\n", "No input file specified.\n", "Access denied.\n":
		return true
	}
	return p.q.method == "HEAD" && p.theirs["body"] == ""
}

// rejectedByUs reports whether the response is an error of Caddy, or the page of
// handle_errors.
func (p pair) rejectedByUs() bool {
	switch p.q.site {
	case "errors", "errors-php", "intercept", "intercept-php", "error-directive":
		return true
	}
	return (p.ours.code() == "404" || p.ours.code() == "403") && p.ours["body"] == ""
}
