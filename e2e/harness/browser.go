//go:build linux

package harness

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Browser requests pages and submits their forms. It keeps cookies.
type Browser struct {
	T      testing.TB
	Client *http.Client
	base   string
}

// Page is an HTML response, after redirects.
type Page struct {
	*Response
	b   *Browser
	doc *html.Node
}

// Form is a form of a page with its values.
type Form struct {
	p      *Page
	action *url.URL
	method string
	Values url.Values
	files  map[string]formFile
}

type formFile struct {
	name    string
	content []byte
}

// Browser returns a new browser.
func (s *Server) Browser() *Browser {
	client := NewBrowserClient(s.T)
	if s.Recorder != nil {
		client = s.Recorder.client(client)
	}
	return &Browser{s.T, client, s.URL}
}

// Open gets a page, which must be a 200.
func (b *Browser) Open(path string) *Page {
	b.T.Helper()
	return b.Visit(NewRequest(b.T, "GET", b.base+path, nil))
}

// Visit sends a request, whose response must be a 200.
func (b *Browser) Visit(req *http.Request) *Page {
	b.T.Helper()
	res := Do(b.T, b.Client, req)
	if res.StatusCode != 200 {
		b.T.Fatalf("%s %s: got status %d (body %.2000q)", req.Method, req.URL, res.StatusCode, res.Text)
	}
	doc, err := html.Parse(strings.NewReader(res.Text))
	if err != nil {
		b.T.Fatal(err)
	}
	return &Page{res, b, doc}
}

// MustContain ends the test unless all texts are in the page.
func (p *Page) MustContain(texts ...string) *Page {
	p.b.T.Helper()
	for _, want := range texts {
		if !strings.Contains(p.Text, want) {
			p.b.T.Fatalf("%s: %q is not in the page: %.3000s", p.Request.URL, want, p.visibleText())
		}
	}
	return p
}

// Form finds a form by its id or by the name of a field in it.
func (p *Page) Form(which string) *Form {
	p.b.T.Helper()
	for n := range p.doc.Descendants() {
		if n.Data != "form" || attr(n, "id") != which && !hasField(n, which) {
			continue
		}
		action, err := p.Request.URL.Parse(attr(n, "action"))
		if err != nil {
			p.b.T.Fatal(err)
		}
		f := &Form{p, action, strings.ToUpper(attr(n, "method")), url.Values{}, nil}
		for field := range n.Descendants() {
			f.addField(field)
		}
		return f
	}
	p.b.T.Fatalf("%s: no form %q in the page: %.3000s", p.Request.URL, which, p.visibleText())
	return nil
}

// addField adds what a browser sends for a field that the user did not change.
func (f *Form) addField(n *html.Node) {
	name := attr(n, "name")
	switch {
	case name == "":
	case n.Data == "textarea":
		f.Values.Add(name, strings.TrimPrefix(text(n), "\n"))
	case n.Data == "select":
		for option := range n.Descendants() {
			if option.Data == "option" && (has(option, "selected") || !f.Values.Has(name)) {
				f.Values.Set(name, attr(option, "value"))
			}
		}
	case n.Data == "input":
		switch attr(n, "type") {
		case "submit", "button", "image", "reset", "file":
		case "checkbox", "radio":
			if has(n, "checked") {
				f.Values.Add(name, attr(n, "value"))
			}
		default:
			f.Values.Add(name, attr(n, "value"))
		}
	}
}

// Set sets pairs of name and value. The button that is clicked is one, too.
func (f *Form) Set(pairs ...string) *Form {
	for i := 0; i < len(pairs); i += 2 {
		f.Values.Set(pairs[i], pairs[i+1])
	}
	return f
}

// Attach adds a file to upload.
func (f *Form) Attach(field, name string, content []byte) *Form {
	f.files = map[string]formFile{field: {name, content}}
	return f
}

// Submit sends the form and follows redirects to a page, which must be a 200.
func (f *Form) Submit() *Page {
	f.p.b.T.Helper()
	return f.p.b.Visit(f.Request())
}

// Request makes the request that sends the form.
func (f *Form) Request() (req *http.Request) {
	tb := f.p.b.T
	tb.Helper()
	switch {
	case f.files != nil:
		body, contentType := f.multipart()
		req = NewRequest(tb, "POST", f.action.String(), body)
		req.Header.Set("Content-Type", contentType)
	case f.method == "POST":
		req = NewRequest(tb, "POST", f.action.String(), strings.NewReader(f.Values.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	default:
		f.action.RawQuery = f.Values.Encode()
		req = NewRequest(tb, "GET", f.action.String(), nil)
	}
	req.Header.Set("Referer", f.p.Request.URL.String())
	return req
}

func (f *Form) multipart() (body *bytes.Buffer, contentType string) {
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for name, values := range f.Values {
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

// visibleText returns the text of a page, for failure messages.
func (p *Page) visibleText() string {
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
