//go:build linux

package e2e

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser reads pages and fills in their forms, as people do.
type browser struct {
	t      *testing.T
	client *http.Client
	base   string
}

// page is an answer that is HTML, at the address where redirects led.
type page struct {
	*response
	b   *browser
	doc *html.Node
}

// form is a form of a page with the values that it came with.
type form struct {
	p      *page
	action *url.URL
	method string
	values url.Values
	files  map[string]file
}

type file struct {
	name    string
	content []byte
}

func (s *server) browser() *browser { return &browser{s.t, newBrowser(s.t), s.url} }

// open gets a page, which must be a 200.
func (b *browser) open(path string) *page {
	b.t.Helper()
	return b.visit(newRequest(b.t, "GET", b.base+path, nil))
}

func (b *browser) visit(req *http.Request) *page {
	b.t.Helper()
	res := do(b.t, b.client, req)
	if res.StatusCode != 200 {
		b.t.Fatalf("%s %s: got status %d (body %.2000q)", req.Method, req.URL, res.StatusCode, res.body)
	}
	doc, err := html.Parse(strings.NewReader(res.body))
	if err != nil {
		b.t.Fatal(err)
	}
	return &page{res, b, doc}
}

// must ends the test unless all texts are in the page.
func (p *page) must(texts ...string) *page {
	p.b.t.Helper()
	for _, want := range texts {
		if !strings.Contains(p.body, want) {
			p.b.t.Fatalf("%s: %q is not in the page: %.3000s", p.Request.URL, want, p.text())
		}
	}
	return p
}

// form finds a form by its id or by the name of a field in it.
func (p *page) form(which string) *form {
	p.b.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Data != "form" || attr(n, "id") != which && !hasField(n, which) {
			continue
		}
		action, err := p.Request.URL.Parse(attr(n, "action"))
		if err != nil {
			p.b.t.Fatal(err)
		}
		f := &form{p, action, strings.ToUpper(attr(n, "method")), url.Values{}, nil}
		for field := range n.Descendants() {
			f.add(field)
		}
		return f
	}
	p.b.t.Fatalf("%s: no form %q in the page: %.3000s", p.Request.URL, which, p.text())
	return nil
}

// add takes over what a browser would send for a field that nobody touched.
func (f *form) add(n *html.Node) {
	name := attr(n, "name")
	switch {
	case name == "":
	case n.Data == "textarea":
		f.values.Add(name, strings.TrimPrefix(text(n), "\n"))
	case n.Data == "select":
		for option := range n.Descendants() {
			if option.Data == "option" && (has(option, "selected") || !f.values.Has(name)) {
				f.values.Set(name, attr(option, "value"))
			}
		}
	case n.Data == "input":
		switch attr(n, "type") {
		case "submit", "button", "image", "reset", "file":
		case "checkbox", "radio":
			if has(n, "checked") {
				f.values.Add(name, attr(n, "value"))
			}
		default:
			f.values.Add(name, attr(n, "value"))
		}
	}
}

// set fills in pairs of name and value; a button that is clicked is one too.
func (f *form) set(pairs ...string) *form {
	for i := 0; i < len(pairs); i += 2 {
		f.values.Set(pairs[i], pairs[i+1])
	}
	return f
}

func (f *form) attach(field, name string, content []byte) *form {
	f.files = map[string]file{field: {name, content}}
	return f
}

// submit sends the form and follows where that leads.
func (f *form) submit() *page {
	t := f.p.b.t
	t.Helper()
	var req *http.Request
	switch {
	case f.files != nil:
		body, contentType := f.multipart()
		req = newRequest(t, "POST", f.action.String(), body)
		req.Header.Set("Content-Type", contentType)
	case f.method == "POST":
		req = newRequest(t, "POST", f.action.String(), strings.NewReader(f.values.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	default:
		f.action.RawQuery = f.values.Encode()
		req = newRequest(t, "GET", f.action.String(), nil)
	}
	req.Header.Set("Referer", f.p.Request.URL.String())
	return f.p.b.visit(req)
}

func (f *form) multipart() (body *bytes.Buffer, contentType string) {
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for name, values := range f.values {
		for _, value := range values {
			w.WriteField(name, value)
		}
	}
	for field, file := range f.files {
		// Writes to a buffer do not fail.
		part, _ := w.CreateFormFile(field, file.name)
		part.Write(file.content)
	}
	w.Close()
	return body, w.FormDataContentType()
}

// text is what a page says, for messages.
func (p *page) text() string {
	words := strings.Join(strings.Fields(text(p.doc)), " ")
	return words[max(0, len(words)-3000):]
}

func hasField(form *html.Node, name string) bool {
	for n := range form.Descendants() {
		if attr(n, "name") == name {
			return true
		}
	}
	return false
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
