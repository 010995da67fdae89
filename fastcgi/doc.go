// Package fastcgi implements both sides of FastCGI 1.0: the web server's side for
// php-cgi, a client for one connection that runs one request at a time ([Conn]), and
// the application's side for other web servers ([Server]).
//
// # The web server's side
//
// A [Request] encodes its parameters as they are added. [Conn.RoundTrip] sends
// the request and returns when the header of the response has arrived; the
// content is then read from the response's [Body]. [Conn.Reusable] reports
// whether the next request may be sent: the last one has ended and no bytes are
// left over.
//
//	c := fastcgi.NewConn(nc)
//	r := fastcgi.NewRequest()
//	defer r.Free()
//	r.AddParam("REQUEST_METHOD", "GET")
//	r.AddParam("SCRIPT_FILENAME", "/srv/www/index.php")
//	resp, err := c.RoundTrip(ctx, r)
//
// The client speaks the part of FastCGI 1.0 that php-cgi implements:
// BEGIN_REQUEST with role RESPONDER and flag FCGI_KEEP_CONN, PARAMS, STDIN,
// STDOUT, STDERR, END_REQUEST, GET_VALUES and GET_VALUES_RESULT. It does not
// multiplex, because php-cgi reports FCGI_MPXS_CONNS=0. It does not send
// ABORT_REQUEST to php-cgi, which treats it as a malformed record, nor DATA.
//
// With [NewWorkerConn] the application is a worker script, which stays in memory and
// is a FastCGI responder in PHP (phpbin/runtime). worker.go has what differs.
//
// Every request has its own id. A script that forks (pcntl_fork) leaves a second
// process on the same connection, which responds to the same request again,
// perhaps after the next request was sent; the id tells the two apart.
//
// The response is a CGI response (RFC 3875, section 6), and PHP scripts can send
// malformed ones. Nothing that is invalid in HTTP reaches the client: invalid
// header lines are dropped and counted, 101 and a status outside 100 to 999 are a
// [*ProtocolError], an invalid Content-Length is dropped, and of a body that is
// longer than its Content-Length only that many bytes are delivered. A body that is
// shorter ends with a [*TruncatedError], because the client must not take it for
// the whole. A body that the script has chunked is decoded.
//
// On Linux, short responses are left in the socket buffer after they were read,
// because removing them at once would wake PHP for nothing: see peeker.
//
// The package does not know about processes. It sees that php-cgi has died when
// the connection closes. A program that a script has started may keep the
// connection open, so the caller reports the death of the process with
// [Conn.Interrupt].
//
// # The application's side
//
// A [Server] runs one request at a time on each connection, in the goroutine that has
// read it: parameters stay encoded, bytes of the response are copied once, and an idle
// connection takes a goroutine with a small buffer. Other than net/http/fcgi it passes
// parameters and responses on as they are, tells a handler when the web server has
// given a request up, and limits what a web server can make it hold.
//
//   - FCGI_KEEP_CONN: the next request may begin at any time; until a web server that
//     has not set it closes the connection, what it still sends is read and dropped,
//     because the kernel would otherwise reset the connection, with the response in it.
//   - A second request on the same connection is refused (CANT_MPX_CONN) while the
//     first one runs, or run after it. FCGI_MPXS_CONNS is 0.
//   - Roles other than RESPONDER get UNKNOWN_ROLE.
//   - ABORT_REQUEST cancels a request that runs; afterwards it is ignored.
//
// The specification: https://fastcgi-archives.github.io/FastCGI_Specification.html
package fastcgi
