// Package fastcgi talks to a FastCGI application over one connection, one
// request at a time. It is the web server's side of the protocol, made for
// php-cgi; net/http/fcgi is the application's side.
//
// A [Request] is encoded while it is put together. [Conn.RoundTrip] sends it and
// returns when the head of the response is there; what follows is read from
// the response's [Body]. When the request has ended and nothing is left over,
// [Conn.Reusable] says so, and the next request may be sent.
//
//	c := fastcgi.NewConn(nc)
//	r := fastcgi.NewRequest()
//	defer r.Free()
//	r.AddParam("REQUEST_METHOD", "GET")
//	r.AddParam("SCRIPT_FILENAME", "/srv/www/index.php")
//	resp, err := c.Do(ctx, r)
//
// Of FastCGI 1.0 it speaks what php-cgi answers: BEGIN_REQUEST as RESPONDER
// with FCGI_KEEP_CONN, PARAMS, STDIN, STDOUT, STDERR, END_REQUEST, GET_VALUES
// and GET_VALUES_RESULT. It never multiplexes (php-cgi answers
// FCGI_MPXS_CONNS=0): there is one request at a time. Each has an id of its
// own, because the copy of a script that has forked (pcntl_fork) answers its
// request once more, perhaps after the next one was sent. It never sends
// ABORT_REQUEST, which php-cgi reads as a broken record, nor DATA.
//
// The response is a CGI response (RFC 3875 section 6), which PHP scripts can
// spoil in many ways. What cannot be passed on to an HTTP client is never
// passed on: invalid header lines are dropped, an impossible status is a
// [*ProtocolError], and a wrong Content-Length cannot break the client's
// connection.
//
// Answers are waited for in Go's netpoller. To wait in poll(2) for the first 30
// to 500 µs, in which a short script is done, gains nothing (16 clients: 0.94 to
// 0.97 of the requests a second), and nor does a context that is only watched
// from 10 ms on, which saves its four allocations (1.00).
//
// On Linux short answers are read without being taken off the socket at once,
// because that would wake PHP for nothing: see peeker.
//
// The package knows nothing of processes. That one has died is learned from
// the connection, or, because a program that a script has started can keep the
// connection open, from whoever watches the process: see [Conn.Interrupt].
//
// The specification: https://fastcgi-archives.github.io/FastCGI_Specification.html
package fastcgi
