package listener

import (
	"slices"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// variable is one of the parameters that the listener reads or changes.
type variable uint8

const (
	other variable = iota // passed on as it is
	contentLength
	documentRoot
	origPathInfo
	origPathTranslated
	origScriptFilename
	origScriptName
	pathInfo
	pathTranslated
	phpAdminValue
	phpValue
	queryString
	redirectURL
	remoteAddr
	remoteUser
	requestMethod
	requestURI
	scriptFilename
	scriptName
	serverSoftware
	variables // their number
)

// variableNames are the names of the variables.
var variableNames = [variables]string{
	contentLength: "CONTENT_LENGTH", documentRoot: "DOCUMENT_ROOT", origPathInfo: "ORIG_PATH_INFO",
	origPathTranslated: "ORIG_PATH_TRANSLATED", origScriptFilename: "ORIG_SCRIPT_FILENAME", origScriptName: "ORIG_SCRIPT_NAME",
	pathInfo: "PATH_INFO", pathTranslated: "PATH_TRANSLATED", phpAdminValue: "PHP_ADMIN_VALUE", phpValue: "PHP_VALUE",
	queryString: "QUERY_STRING", redirectURL: "REDIRECT_URL", remoteAddr: "REMOTE_ADDR", remoteUser: "REMOTE_USER",
	requestMethod: "REQUEST_METHOD", requestURI: "REQUEST_URI", scriptFilename: "SCRIPT_FILENAME", scriptName: "SCRIPT_NAME",
	serverSoftware: "SERVER_SOFTWARE",
}

// variableOf returns the variable with that name.
func variableOf(name []byte) variable {
	switch string(name) {
	case "CONTENT_LENGTH":
		return contentLength
	case "DOCUMENT_ROOT":
		return documentRoot
	case "ORIG_PATH_INFO":
		return origPathInfo
	case "ORIG_PATH_TRANSLATED":
		return origPathTranslated
	case "ORIG_SCRIPT_FILENAME":
		return origScriptFilename
	case "ORIG_SCRIPT_NAME":
		return origScriptName
	case "PATH_INFO":
		return pathInfo
	case "PATH_TRANSLATED":
		return pathTranslated
	case "PHP_ADMIN_VALUE":
		return phpAdminValue
	case "PHP_VALUE":
		return phpValue
	case "QUERY_STRING":
		return queryString
	case "REDIRECT_URL":
		return redirectURL
	case "REMOTE_ADDR":
		return remoteAddr
	case "REMOTE_USER":
		return remoteUser
	case "REQUEST_METHOD":
		return requestMethod
	case "REQUEST_URI":
		return requestURI
	case "SCRIPT_FILENAME":
		return scriptFilename
	case "SCRIPT_NAME":
		return scriptName
	case "SERVER_SOFTWARE":
		return serverSoftware
	}
	return other
}

// value is the value of a variable.
type value struct {
	text    string
	set     bool // it exists
	changed bool // it is not what the web server has sent
}

// params are the parameters of a request. The web server's own stay encoded, in their
// order; only the variables are decoded.
type params struct {
	block  []byte // the pairs that the web server has sent
	values [variables]value
	added  []variable // that the web server has not sent, or that were removed, in the order in which they were set

	// redirectHidden hides REDIRECT_URL from php-cgi, but not from scripts.
	redirectHidden bool
}

// parse decodes the variables of a block. It returns false if that is malformed.
func (p *params) parse(block []byte) bool {
	*p = params{block: block, added: p.added[:0]}
	all := string(block) // one allocation for all values
	for len(block) > 0 {
		name, text, size := fastcgi.NextPair(block)
		if size == 0 {
			return false
		}
		block = block[size:]
		if v := variableOf(name); v != other {
			end := len(all) - len(block)
			p.values[v] = value{text: all[end-len(text) : end], set: true}
		}
	}
	return true
}

// get returns the value of a variable; "" if it does not exist.
func (p *params) get(v variable) string { return p.values[v].text }

// has reports whether a variable exists.
func (p *params) has(v variable) bool { return p.values[v].set }

// set changes or adds a variable.
func (p *params) set(v variable, text string) {
	old := p.values[v]
	if old.set && old.text == text {
		return
	}
	if !old.set {
		p.added = append(slices.DeleteFunc(p.added, func(other variable) bool { return other == v }), v)
	}
	p.values[v] = value{text: text, set: true, changed: true}
}

// remove removes a variable.
func (p *params) remove(v variable) {
	if p.values[v].set {
		p.values[v] = value{changed: true}
	}
}

// write adds the parameters to a request for PHP.
func (p *params) write(r *fastcgi.Request) {
	block, start := p.block, 0 // block[start:i] is to be copied
	var written [variables]bool
	for i := 0; i < len(block); {
		name, _, size := fastcgi.NextPair(block[i:])
		if v := variableOf(name); v != other && (p.values[v].changed || v == redirectURL && p.redirectHidden) {
			r.AddEncoded(block[start:i])
			start = i + size
			if !written[v] && !slices.Contains(p.added, v) {
				p.writeVariable(r, v)
				written[v] = true
			}
		}
		i += size
	}
	r.AddEncoded(block[start:])
	for _, v := range p.added {
		p.writeVariable(r, v)
	}
}

func (p *params) writeVariable(r *fastcgi.Request, v variable) {
	name := variableNames[v]
	if v == redirectURL && p.redirectHidden {
		name = " " + name
	}
	if p.values[v].set {
		r.AddParam(name, p.values[v].text)
	}
}
