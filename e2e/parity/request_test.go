//go:build linux

package parity

import (
	"fmt"
	"strings"
)

// request is one row of a table.
type request struct {
	name   string // default: method, target and what else is unusual
	site   string // default: plain
	method string // default: GET
	target string // as it is sent; {side} is the name of the side
	fields []string
	body   *body
	proto  proto // default: h1
	// php is the code of the script that the request is for. target is then its query.
	php string
	// during is called once the first bytes of the body have come; only for h1.
	during func(*rig, side)
	// leave has the client disconnect: after the request was sent, or once the first
	// bytes of the body have come.
	leave leave
	// after returns more of what PHP has seen, once the request has ended.
	after func(*rig, side) string
}

type proto string

const (
	h1  proto = "h1"
	h10 proto = "h1.0"
	h2  proto = "h2"
	h2c proto = "h2c"
	h3  proto = "h3"
)

type leave int

const (
	stay leave = iota
	leaveBeforeResponse
	leaveDuringResponse
)

// body is the body of a request.
type body struct {
	data    string
	chunked bool // no Content-Length
	expect  bool // Expect: 100-continue
	cut     int  // the client disconnects after so many bytes, if it is not 0
	length  string
	trailer []string
}

// String is the name of the test of a request.
func (q *request) String() string {
	if q.name != "" {
		return q.name
	}
	parts := []string{q.method, q.target}
	for _, f := range q.fields {
		parts = append(parts, fmt.Sprintf("%.60s", f))
	}
	if b := q.body; b != nil {
		parts = append(parts, fmt.Sprintf("%d bytes", len(b.data)))
		if b.chunked {
			parts = append(parts, "chunked")
		}
		if b.expect {
			parts = append(parts, "expect")
		}
	}
	return fmt.Sprintf("%.200s", strings.Join(parts, " "))
}

// complete sets the defaults.
func (q request) complete() request {
	if q.site == "" {
		q.site = "plain"
	}
	if q.method == "" {
		q.method = "GET"
	}
	if q.proto == "" {
		q.proto = h1
	}
	return q
}

// form is a body of a form.
const formType = "Content-Type: application/x-www-form-urlencoded"

// each returns the rows once for each value.
func each[T any](rows []request, values []T, set func(*request, T)) []request {
	var all []request
	for _, v := range values {
		for _, r := range rows {
			r.fields = append([]string(nil), r.fields...)
			set(&r, v)
			all = append(all, r)
		}
	}
	return all
}

// onSites returns the rows once for each site.
func onSites(rows []request, sites ...string) []request {
	return each(rows, sites, func(r *request, site string) { r.site = site })
}

// gets are GET requests for targets.
func gets(targets ...string) []request {
	var rows []request
	for _, target := range targets {
		rows = append(rows, request{target: target})
	}
	return rows
}
