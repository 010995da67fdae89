package vhosts

import (
	"slices"
	"strings"
)

// remedies say what to write instead of a directive of nginx or Apache. Those that
// begin with "left out" need nothing.
var remedies = map[string]string{ //nolint:gosec // names of directives, not credentials
	// nginx
	"access_log": "write log in the site", "error_log": logged, "log_not_found": logged, "rewrite_log": logged,
	"ssl": tls, "ssl_certificate": certificates, "ssl_certificate_key": certificates, "ssl_trusted_certificate": certificates,
	"ssl_dhparam": tls, "ssl_protocols": tls, "ssl_ciphers": tls, "ssl_prefer_server_ciphers": tls, "ssl_ecdh_curve": tls,
	"ssl_session_cache": tls, "ssl_session_timeout": tls, "ssl_session_tickets": tls, "ssl_stapling": tls, "ssl_stapling_verify": tls,
	"resolver": tls, "resolver_timeout": tls, "http2": protocols, "http3": protocols, "quic_retry": protocols,
	"client_max_body_size": "write max_body in the block of php_pool, and request_body max_size for other requests",
	"client_body_timeout":  "write timeouts in Caddy's option servers", "keepalive_timeout": "write timeouts in Caddy's option servers",
	"client_body_buffer_size": buffers, "fastcgi_buffers": buffers, "fastcgi_buffer_size": buffers, "fastcgi_busy_buffers_size": buffers,
	"fastcgi_temp_file_write_size": buffers, "fastcgi_max_temp_file_size": buffers, "fastcgi_buffering": buffers,
	"fastcgi_request_buffering": "write request_buffering off in the block of php_pool, if it is off here",
	"fastcgi_read_timeout":      "write read_timeout in the block of php_pool", "fastcgi_send_timeout": "write write_timeout in the block of php_pool",
	"fastcgi_connect_timeout":  "write dial_timeout in the block of php_pool",
	"fastcgi_intercept_errors": "write intercept in the site", "fastcgi_hide_header": "write header_down in the block of php_pool",
	"fastcgi_index": done, "fastcgi_split_path_info": done, "fastcgi_keep_conn": done, "fastcgi_pass_header": done,
	"fastcgi_ignore_client_abort": "write ini ignore_user_abort 1 in the pool, if it is on here",
	"fastcgi_param":               "write env in the block of php_pool", "fastcgi_cache": "use a module for caching",
	"gzip": "write encode in the site", "brotli": "write encode in the site",
	"add_header": "write header in the site", "more_set_headers": "write header in the site", "expires": "write header Cache-Control in the site",
	"etag": done, "server_tokens": "left out, because Caddy does not show its version", "sendfile": done, "tcp_nopush": done, "tcp_nodelay": done,
	"rewrite": rewrites, "if": rewrites, "set": rewrites, "map": "write map in the site", "error_page": "write handle_errors in the site",
	"return": "write redir or respond in the site", "proxy_pass": "write reverse_proxy in the site", "alias": "write handle_path with its own root in the site",
	"autoindex": "write file_server browse", "charset": "write header Content-Type in the site", "upstream": "write its servers in reverse_proxy, unless php-fpm listens there",
	"location": "write handle with a matcher for what follows", "server": "", "fastcgi_pass": "write php_pool with a matcher",
	// Apache
	"serveradmin": "left out, because Caddy's error pages have no address", "customlog": "write log in the site", "errorlog": logged, "loglevel": logged,
	"transferlog": "write log in the site", "sslengine": tls, "sslcertificatefile": certificates, "sslcertificatekeyfile": certificates,
	"sslcertificatechainfile": certificates, "sslprotocol": tls, "sslciphersuite": tls, "sslhonorcipherorder": tls, "ssloptions": tls,
	"protocols": protocols, "servertokens": "left out, because Caddy does not show its version", "serversignature": "left out, because Caddy's error pages have none",
	"header": "write header in the site", "requestheader": "write request_header in the site", "expiresactive": "write header Cache-Control in the site",
	"expiresbytype": "write header Cache-Control in the site", "expiresdefault": "write header Cache-Control in the site",
	"rewriteengine": rewrites, "rewriterule": rewrites, "rewritecond": rewrites, "rewritebase": rewrites,
	"redirect": "write redir in the site", "redirectmatch": "write redir in the site", "redirectpermanent": "write redir in the site",
	"errordocument": "write handle_errors in the site", "setenv": "write env in the block of php_pool", "limitrequestbody": "write max_body in the block of php_pool",
	"setenvif": "write env in the block of php_pool", "setenvifnocase": done, "cgipassauth": done, "proxyfcgisetenvif": "write env in the block of php_pool",
	"scriptalias": "write handle in the site, and a module for CGI", "proxypass": "write reverse_proxy in the site", "proxypassmatch": "write php_pool with a matcher",
	"proxypassreverse": done, "proxytimeout": "write read_timeout in the block of php_pool", "timeout": "write timeouts in Caddy's option servers",
	"addtype": "write header Content-Type in the site", "adddefaultcharset": "write header Content-Type in the site", "addoutputfilterbytype": "write encode in the site",
	"sethandler": "write php_pool with a matcher", "addhandler": "write split in the block of php_pool", "define": done, "traceenable": "left out, because Caddy does not respond to TRACE",
	"php_value": "write ini in the pool", "php_flag": "write ini in the pool", "php_admin_value": "write admin_ini in the pool", "php_admin_flag": "write admin_ini in the pool",
}

const (
	logged       = "left out, because errors are in Caddy's log"
	tls          = "left out, because Caddy's TLS needs no settings"
	certificates = "left out, because Caddy obtains certificates itself; to keep this one, write tls <certificate> <key> in the site"
	protocols    = "left out, because Caddy has HTTP/2 and 3 on"
	buffers      = "left out, because php_pool has enough buffers; see request_buffers and response_buffers"
	done         = "left out, because Caddy or php_pool does it without"
	includes     = "left out, because it needs nothing, or because what it has follows"
	rewrites     = "import converts no rewrite rules: write rewrite or redir in the site, or keep this web server and use the option fastcgi"
)

// standardParams are the parameters of Debian's fastcgi.conf and fastcgi_params.
var standardParams = strings.Fields(`SCRIPT_FILENAME QUERY_STRING REQUEST_METHOD CONTENT_TYPE CONTENT_LENGTH SCRIPT_NAME REQUEST_URI
	DOCUMENT_URI DOCUMENT_ROOT SERVER_PROTOCOL REQUEST_SCHEME HTTPS GATEWAY_INTERFACE SERVER_SOFTWARE REMOTE_ADDR REMOTE_PORT
	REMOTE_USER SERVER_ADDR SERVER_PORT SERVER_NAME REDIRECT_STATUS PATH_INFO PATH_TRANSLATED HTTP_PROXY`)

// isStandardParam reports whether php_pool sets the parameter of a line itself.
func isStandardParam(d *directive) bool {
	return d.name == "fastcgi_param" && slices.Contains(standardParams, strings.ToUpper(d.arg()))
}

// hasOwnLines reports whether the lines of a block are no directives of a site.
func hasOwnLines(d *directive) bool {
	return slices.Contains([]string{"map", "upstream", "types", "geo", "split_clients"}, d.name)
}

// remedy returns what to write instead of a directive.
func remedy(d *directive) string {
	name := strings.TrimPrefix(d.name, "<")
	switch {
	case isStandardParam(d):
		return done
	case d.name == "fastcgi_param" && strings.EqualFold(d.arg(), "PHP_VALUE"):
		return "write ini in the pool"
	case strings.HasPrefix(d.name, "gzip_"), strings.HasPrefix(d.name, "brotli_"):
		return "write encode in the site"
	case name == "directory", name == "directorymatch", name == "location" && d.name != name, name == "locationmatch", name == "files", name == "filesmatch":
		return "write handle with a matcher for what follows, where it does not say left out"
	case d.name == "options" && slices.Contains(d.words, "+Indexes") || d.name == "options" && slices.Contains(d.words, "Indexes"):
		return "write file_server browse"
	case d.name == "options":
		return done
	case d.name == "require" || d.name == "allow" || d.name == "order" || d.name == "satisfy" || d.name == "allowoverride":
		return done // others protect
	case d.name == "auth_basic", d.name == "ssl_verify_client", d.name == "sslverifyclient":
		return done
	}
	return remedies[name]
}

// protections say what to write instead of directives that protect something.
var protections = map[string]string{
	"deny": respond, "allow": respond, "satisfy": respond, "internal": respond, "return": respond, "limit_except": respond, "disable_symlinks": "write confine_symlinks in the block of php_pool",
	"auth_basic": basicAuth, "auth_basic_user_file": basicAuth, "auth_request": "write forward_auth in the site", "auth_jwt": "use a module for authentication",
	"limit_req": "use a module for rate limits; max_per_client limits PHP", "limit_conn": "use a module for rate limits; max_per_client limits PHP",
	"ssl_verify_client": clientAuth, "ssl_client_certificate": clientAuth, "secure_link": respond, "valid_referers": respond,
	"modsecurity": "use a module such as Coraza", "modsecurity_rules_file": "use a module such as Coraza", "access_by_lua_block": respond, "access_by_lua_file": respond,
	"require": respond, "order": respond, "<limit": respond, "<limitexcept": respond, "<requireall": respond, "<requireany": respond, "<requirenone": respond,
	"authtype": basicAuth, "authname": basicAuth, "authuserfile": basicAuth, "authgroupfile": basicAuth, "authbasicprovider": basicAuth,
	"authmerging": respond, "authdigestprovider": basicAuth, "authformprovider": basicAuth, "authldapurl": "use a module for authentication",
	"sslverifyclient": clientAuth, "sslcacertificatefile": clientAuth, "sslrequire": clientAuth, "sslrequiressl": "write no http:// address",
	"secruleengine": "use a module such as Coraza", "allowoverride": "Caddy reads no .htaccess files: look for those that protect something, and write respond 403 with a matcher",
	"rewriterule": respond, "php_admin_value": "write admin_ini in the pool", "php_admin_flag": "write admin_ini in the pool",
	"fastcgi_param": "write admin_ini in the pool", "limitrequestline": respond,
}

const (
	respond    = "write respond 403 with a matcher (path, remote_ip) in the site"
	basicAuth  = "write basic_auth in the site"
	clientAuth = "write client_auth in tls"
)

// protects returns what to write instead of a directive that protects something, or "".
// siblings are the directives of its block.
func protects(d *directive, siblings []*directive) string {
	first := strings.ToLower(d.arg())
	all := strings.ToLower(strings.Join(d.args(), " "))
	switch d.name {
	case "allow":
		if first == "all" || all == "from all" {
			return ""
		}
	case "auth_basic", "ssl_verify_client", "modsecurity", "disable_symlinks", "secruleengine":
		if first == "off" {
			return ""
		}
	case "sslverifyclient", "allowoverride":
		if first == "none" {
			return ""
		}
	case "return":
		if !slices.Contains([]string{"400", "401", "403", "404", "410", "444"}, first) {
			return ""
		}
	case "require":
		switch first {
		case "all":
			if all == "all granted" {
				return ""
			}
		case "valid-user", "user", "group":
			return basicAuth
		}
	case "order":
		for _, other := range siblings {
			if other.name == "allow" && strings.EqualFold(strings.Join(other.args(), " "), "from all") {
				return ""
			}
		}
	case "rewriterule":
		flags := strings.Trim(d.words[len(d.words)-1], "[]")
		isFlag := func(flag string) bool { return flag == "F" || flag == "G" || strings.EqualFold(flag, "forbidden") }
		if len(d.words) < 4 || !slices.ContainsFunc(strings.Split(flags, ","), isFlag) {
			return ""
		}
	case "fastcgi_param":
		if !strings.EqualFold(d.arg(), "PHP_ADMIN_VALUE") {
			return ""
		}
	}
	return protections[d.name]
}

// isDenial reports whether a block only denies access, and what else it has are logs.
func isDenial(block []*directive) bool {
	denies := false
	for _, d := range block {
		all := strings.ToLower(strings.Join(d.args(), " "))
		switch d.name {
		case "deny", "return":
			denies = denies || all == "all" || all == "from all" || protects(d, block) != "" && d.name == "return"
		case "require":
			denies = denies || all == "all denied"
		case "order", "satisfy", "access_log", "log_not_found", "error_log":
		default:
			return false
		}
	}
	return denies
}
