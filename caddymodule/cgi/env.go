package cgi

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// EnvWriter writes the CGI variables of one request: those of RFC 3875 and the
// others that PHP applications expect, with the same values as php_fastcgi.
// It differs from php_fastcgi only where that is wrong: Cookie fields are
// joined with "; " (RFC 6265 section 5.4), a GET without a body has no
// HTTP_CONTENT_LENGTH, header names with "_" are dropped (PHP cannot distinguish
// X_Y from X-Y, GHSA-f59h-q822-g45g), and REDIRECT_STATUS is set, as by every
// other web server: in an error route to the status of the error, as Apache does
// for an ErrorDocument, else to 200.
//
// All fields except TraceHeaders and Proxied are required.
type EnvWriter struct {
	Site    *Site
	Request *http.Request
	Repl    *caddy.Replacer
	// Dst receives the variables.
	Dst *fastcgi.Request
	// TraceHeaders replace the request's own tracing headers, so that PHP continues
	// Caddy's span; nil without tracing.
	TraceHeaders http.Header
	// Proxied is true if reverse_proxy has already prepared the request's headers.
	Proxied bool

	// UntoldHTTPS is set by Write if a trusted proxy says that the client uses https, and
	// PHP sees http.
	UntoldHTTPS bool

	user   string // REMOTE_USER, set by Write
	client client // with TrustForwarded: what a trusted proxy says
}

// Write adds the variables for a script to Dst. length is the length of the body
// that is sent to PHP, in bytes.
func (e *EnvWriter) Write(s *Script, length int64) {
	if e.Site.TrustForwarded {
		e.client = forwardedClient(e.Request)
	}
	e.Dst.AddEncoded(e.Site.constants)
	if err := RouteError(e.Request); err != nil {
		e.Dst.AddParam("REDIRECT_STATUS", strconv.Itoa(errorStatus(err)))
	}
	// First what the next request has too, up to REQUEST_METHOD: a worker script decodes
	// it once (phpbin/runtime/worker/request.php).
	e.script(s)
	e.server()
	e.request(length)
	e.peer()
	e.tls()
	e.headers(length)
	// The configured variables come last: PHP uses the last value of a name.
	for _, v := range e.Site.envs {
		e.Dst.AddParam(v.name, e.Repl.ReplaceAll(v.value, ""))
	}
}

// constantParams encodes the variables that are the same for all requests.
func constantParams() ([]byte, error) {
	version, _ := caddy.Version()
	return fastcgi.EncodePairs(
		[2]string{"GATEWAY_INTERFACE", "CGI/1.1"},
		[2]string{"SERVER_SOFTWARE", "Caddy/" + version},
		[2]string{"REDIRECT_STATUS", "200"},
		[2]string{"AUTH_TYPE", ""},
		[2]string{"REMOTE_IDENT", ""},
	)
}

// RouteError returns the error that is handled if the request passes an error route,
// else nil.
func RouteError(r *http.Request) error {
	err, _ := r.Context().Value(caddyhttp.ErrorCtxKey).(error)
	return err
}

// errorStatus returns the HTTP status of an error that Caddy handles.
func errorStatus(err error) int {
	if handled, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handled.StatusCode != 0 {
		return handled.StatusCode
	}
	return http.StatusInternalServerError
}

func (e *EnvWriter) script(s *Script) {
	e.Dst.AddParam("DOCUMENT_ROOT", s.root)
	e.Dst.AddParam("DOCUMENT_URI", s.uri)
	e.Dst.AddParam("SCRIPT_FILENAME", s.Filename)
	e.Dst.AddParam("SCRIPT_NAME", s.name)
	e.Dst.AddParam("PATH_INFO", s.info)
	if s.info != "" {
		// RFC 3875 section 4.1.6: only if there is a PATH_INFO.
		e.Dst.AddParam("PATH_TRANSLATED", caddyhttp.SanitizedPathJoin(s.root, s.info))
	}
}

// server adds how the client has reached this server.
func (e *EnvWriter) server() {
	e.Dst.AddParam("SERVER_PROTOCOL", e.Request.Proto)
	scheme, defaultPort := "http", "80"
	if e.isHTTPS() {
		scheme, defaultPort = "https", "443"
		e.Dst.AddParam("HTTPS", "on")
	}
	e.Dst.AddParam("REQUEST_SCHEME", scheme)
	host, port := splitHostPort(e.Request.Host)
	if e.client.portKnown {
		port = e.client.port
	}
	if port == "" {
		port = defaultPort
	}
	e.Dst.AddParam("SERVER_NAME", host)
	e.Dst.AddParam("SERVER_PORT", port)
	e.Dst.AddParam("HTTP_HOST", e.Request.Host)
	if ip := localIP(e.Request); ip != "" {
		e.Dst.AddParam("SERVER_ADDR", ip)
	}
}

// localIP returns the IP address at which the client has reached this server, or "" if
// that is not an IP address.
func localIP(r *http.Request) string {
	switch addr := r.Context().Value(http.LocalAddrContextKey).(type) {
	case interface{ AddrPort() netip.AddrPort }: // TCP and UDP, without taking its text apart
		if ip := addr.AddrPort().Addr().Unmap(); ip.IsValid() && ip.Zone() == "" {
			return ip.String()
		}
	case net.Addr:
		text := addr.String()
		if host, _, err := net.SplitHostPort(text); err == nil {
			text = host
		}
		if net.ParseIP(text) != nil {
			return text
		}
	}
	return ""
}

func (e *EnvWriter) request(length int64) {
	r := e.Request
	e.Dst.AddParam("REQUEST_METHOD", r.Method)
	e.Dst.AddParam("QUERY_STRING", r.URL.RawQuery)
	e.Dst.AddParam("CONTENT_LENGTH", strconv.FormatInt(length, 10))
	e.Dst.AddParam("CONTENT_TYPE", contentType(r))
	e.Dst.AddParam("REQUEST_URI", OriginalURL(r).RequestURI())
	e.user, _ = e.Repl.GetString("http.auth.user.id")
	e.Dst.AddParam("REMOTE_USER", e.user)
}

// contentType returns CONTENT_TYPE. As behind php_fastcgi, a request without a
// Content-Type has that of a form, except for the methods that have no form: PHP then
// fills $_POST.
func contentType(r *http.Request) string {
	if text := r.Header.Get("Content-Type"); text != "" {
		return text
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return ""
	}
	return "application/x-www-form-urlencoded"
}

// splitHostPort is net.SplitHostPort with an optional port. Most hosts have no port,
// and the error of net.SplitHostPort would allocate.
func splitHostPort(hostport string) (host, port string) {
	if strings.IndexByte(hostport, ':') < 0 {
		return hostport, ""
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport, ""
	}
	return host, port
}

// peer adds the address of the client.
func (e *EnvWriter) peer() {
	ip, port := e.Request.RemoteAddr, ""
	if i := strings.LastIndexByte(ip, ':'); i >= 0 {
		ip, port = ip[:i], ip[i+1:]
	}
	ip = strings.Replace(strings.Replace(ip, "[", "", 1), "]", "", 1)
	if e.client.ip != "" && e.client.ip != ip {
		ip, port = e.client.ip, ""
	}
	e.Dst.AddParam("REMOTE_ADDR", ip)
	e.Dst.AddParam("REMOTE_HOST", ip)
	e.Dst.AddParam("REMOTE_PORT", port)
}

// tlsVersions maps TLS versions to the names that Apache's mod_ssl uses.
var tlsVersions = map[uint16]string{
	tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1",
	tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3",
}

func (e *EnvWriter) tls() {
	state := e.Request.TLS
	if state == nil || !e.isHTTPS() {
		return
	}
	if name, ok := tlsVersions[state.Version]; ok {
		e.Dst.AddParam("SSL_PROTOCOL", name)
	}
	for _, suite := range caddytls.SupportedCipherSuites() {
		if suite.ID == state.CipherSuite {
			e.Dst.AddParam("SSL_CIPHER", suite.Name)
			return
		}
	}
}

// headers adds the rest of HTTP_*, the only variables whose names come from the client.
func (e *EnvWriter) headers(length int64) {
	if length > 0 {
		e.Dst.AddParam("HTTP_CONTENT_LENGTH", strconv.FormatInt(length, 10))
	}
	if !e.Proxied {
		e.proxyHeaders()
	} else { // reverse_proxy has removed what untrusted clients have sent
		e.UntoldHTTPS = isHTTPS(firstOfList(e.Request.Header["X-Forwarded-Proto"])) && !e.isHTTPS()
	}
	for name, values := range e.Request.Header {
		if e.forwardsHeader(name) {
			e.Dst.AddHeader(name, values)
		}
	}
	for name, values := range e.TraceHeaders { // PHP uses the last value of a name
		e.Dst.AddHeader(name, values)
	}
}

// proxyHeaders adds the headers that reverse_proxy would have set.
func (e *EnvWriter) proxyHeaders() {
	f := forwardedHeaders(e.Request)
	e.UntoldHTTPS = isHTTPS(f.proto) && !e.isHTTPS()
	e.add("HTTP_X_FORWARDED_FOR", f.client)
	e.add("HTTP_X_FORWARDED_PROTO", f.proto)
	e.add("HTTP_X_FORWARDED_HOST", f.host)
	via := "1.1 Caddy"
	if e.Request.ProtoMajor != 1 || e.Request.ProtoMinor != 1 {
		via = strconv.Itoa(e.Request.ProtoMajor) + "." + strconv.Itoa(e.Request.ProtoMinor) + " Caddy"
	}
	if prior := e.Request.Header["Via"]; len(prior) > 0 {
		via = strings.Join(prior, ", ") + ", " + via
	}
	e.add("HTTP_VIA", via)
	if _, ok := e.Request.Header["User-Agent"]; !ok {
		e.Dst.AddParam("HTTP_USER_AGENT", "")
	}
	if upgrade := e.Request.Header.Get("Upgrade"); upgrade != "" && hasToken(e.Request.Header["Connection"], "Upgrade") {
		e.Dst.AddParam("HTTP_CONNECTION", "Upgrade")
		e.Dst.AddParam("HTTP_UPGRADE", strings.ToLower(upgrade))
	}
	if hasToken(e.Request.Header["Te"], "trailers") {
		e.Dst.AddParam("HTTP_TE", "trailers")
	}
	if e.isEarly() {
		e.Dst.AddParam("HTTP_EARLY_DATA", "1") // RFC 8470 section 5.1
	}
}

// isEarly reports whether the request arrived before the TLS handshake was complete,
// which means that it may be replayed.
func (e *EnvWriter) isEarly() bool { return e.Request.TLS != nil && !e.Request.TLS.HandshakeComplete }

func (e *EnvWriter) add(name, value string) {
	if value != "" {
		e.Dst.AddParam(name, value)
	}
}

// forwardsHeader reports whether a header field is passed to PHP unchanged.
func (e *EnvWriter) forwardsHeader(name string) bool {
	for i := range len(name) {
		c := lower(name[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	switch name {
	case "Host", "Content-Length":
		// Over HTTP/2, Host may differ from the authority that the request was
		// routed by. The length is that of the body that is sent to PHP.
		return false
	case "Proxy":
		return false // httpoxy: PHP would show it as HTTP_PROXY
	}
	if e.Proxied {
		return true
	}
	switch name {
	case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via":
		return false // see proxyHeaders
	case "Early-Data":
		return !e.isEarly() // set by a proxy before us
	}
	// Headers that Connection lists are hop-by-hop too.
	return !IsHopByHop(name) && !hasToken(e.Request.Header["Connection"], name)
}

// IsHopByHop reports whether a header applies to one connection only (RFC 9110
// section 7.6.1). The name must be in canonical form.
func IsHopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Alt-Svc":
		return true
	}
	return false
}

// hasToken reports whether a header of comma-separated tokens contains token.
func hasToken(values []string, token string) bool {
	for _, list := range values {
		for field := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(textproto.TrimString(field), token) {
				return true
			}
		}
	}
	return false
}
