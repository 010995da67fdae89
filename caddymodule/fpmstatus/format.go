package fpmstatus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// format is an output format of php-fpm's status page.
type format struct {
	query       string // the query parameter that selects it
	contentType string
	write       func(*bytes.Buffer, *Page)
}

// formats are the formats in the order in which php-fpm checks the query for them.
var formats = []format{
	{"html", "text/html;charset=UTF-8", writeHTML},
	{"xml", "text/xml;charset=UTF-8", writeXML},
	{"json", "application/json", writeJSON},
	{"openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", writeMetrics},
}

var plainText = format{"", "text/plain;charset=UTF-8", writeText}

// formatFor returns the first of formats that query has, or plainText.
func formatFor(query url.Values) format {
	for _, f := range formats {
		if query.Has(f.query) {
			return f
		}
	}
	return plainText
}

// Respond writes the page as the response to a request with this query. One of the
// parameters html, xml, json and openmetrics, with any value, selects the format; the
// default is plain text. The error is that of w.
func (p *Page) Respond(w http.ResponseWriter, query url.Values) error {
	f := formatFor(query)
	var out bytes.Buffer
	f.write(&out, p)
	return respond(w, http.StatusOK, f.contentType, out.Bytes())
}

// RespondPing writes a text as php-fpm's ping page does, with that status. The error
// is that of w.
func RespondPing(w http.ResponseWriter, status int, text string) error {
	return respond(w, status, plainText.contentType, []byte(text))
}

// respond writes a response with the headers of php-fpm's pages.
func respond(w http.ResponseWriter, status int, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

func writeText(out *bytes.Buffer, page *Page) {
	write := func(fields []field) {
		for _, f := range fields {
			name := f.name
			if name == "request uri" {
				name = "request URI" // php-fpm spells it so in this format only
			}
			fmt.Fprintf(out, "%-21s %s\n", name+":", f.text(clockTime))
		}
	}
	write(page.pool)
	for _, fields := range page.processes {
		out.WriteString("\n************************\n")
		write(fields)
	}
}

func writeXML(out *bytes.Buffer, page *Page) {
	write := func(fields []field, end string) {
		for _, f := range fields {
			tag := strings.ReplaceAll(f.name, " ", "-")
			fmt.Fprintf(out, "<%s>%s</%s>%s", tag, escape(f.text(epochTime)), tag, end)
		}
	}
	out.WriteString("<?xml version=\"1.0\" ?>\n<status>\n")
	write(page.pool, "\n")
	if page.full {
		out.WriteString("<processes>\n")
		for _, fields := range page.processes {
			out.WriteString("<process>")
			write(fields, "")
			out.WriteString("</process>\n")
		}
		out.WriteString("</processes>\n")
	}
	out.WriteString("</status>")
}

func writeHTML(out *bytes.Buffer, page *Page) {
	out.WriteString(`<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head><title>PHP-FPM Status Page</title></head>
<body>
<table>
`)
	for _, f := range page.pool {
		fmt.Fprintf(out, "<tr><th>%s</th><td>%s</td></tr>\n", f.name, escape(f.text(clockTime)))
	}
	out.WriteString("</table>\n")
	if page.full {
		writeTable(out, page.processes)
	}
	out.WriteString("</body></html>")
}

// writeTable writes the HTML table of the processes, with a column for each field.
func writeTable(out *bytes.Buffer, processes [][]field) {
	out.WriteString("<table border=\"1\">\n<tr>")
	// The table has a header row even if there is no process.
	for _, f := range processFields(new(Worker), false) {
		fmt.Fprintf(out, "<th>%s</th>", f.name)
	}
	out.WriteString("</tr>\n")
	for _, fields := range processes {
		out.WriteString("<tr>")
		for _, f := range fields {
			fmt.Fprintf(out, "<td>%s</td>", escape(f.text(clockTime)))
		}
		out.WriteString("</tr>\n")
	}
	out.WriteString("</table>")
}

func writeJSON(out *bytes.Buffer, page *Page) {
	write := func(fields []field) {
		for i, f := range fields {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "%q:%s", f.name, f.json())
		}
	}
	out.WriteByte('{')
	write(page.pool)
	if page.full {
		out.WriteString(`, "processes":[`)
		for i, fields := range page.processes {
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteByte('{')
			write(fields)
			out.WriteByte('}')
		}
		out.WriteByte(']')
	}
	out.WriteByte('}')
}

// metrics are the fields of the OpenMetrics format, which has no processes. Order,
// names and types are those of php-fpm, even where a counter should be a gauge.
var metrics = []struct{ name, kind, field, help string }{
	{"start_since", "counter", "start since", "Seconds since the pool was created."},
	{"accepted_connections", "counter", "accepted conn", "Requests that got a worker."},
	{"listen_queue", "gauge", "listen queue", "Requests waiting for a worker."},
	{"max_listen_queue", "counter", "max listen queue", "Highest number of requests waiting at the same time."},
	{"listen_queue_length", "gauge", "listen queue len", "Maximum number of waiting requests (max_queue)."},
	{"idle_processes", "gauge", "idle processes", "Idle workers."},
	{"active_processes", "gauge", "active processes", "Workers running PHP."},
	{"total_processes", "gauge", "total processes", "Idle workers and workers running PHP."},
	{"max_active_processes", "counter", "max active processes", "Highest number of workers running PHP at the same time."},
	{"max_children_reached", "counter", "max children reached", "How often a request had to wait because the maximum number of workers was reached."},
	{"slow_requests", "counter", "slow requests", "Requests slower than slow_request."},
	{"memory_peak", "gauge", "memory peak", "Always 0, because php-cgi does not report the peak memory of requests."},
}

func writeMetrics(out *bytes.Buffer, page *Page) {
	values := map[string]string{}
	for _, f := range page.pool {
		values[f.name] = f.text(epochTime)
	}
	write := func(name, kind, help, value string) {
		fmt.Fprintf(out, "# HELP phpfpm_%[1]s %[3]s\n# TYPE phpfpm_%[1]s %[2]s\nphpfpm_%[1]s %[4]s\n", name, kind, help, value)
	}
	// The pool's name is in this help text only. OpenMetrics requires backslashes in
	// help texts to be escaped.
	help := fmt.Sprintf("Whether pool %s (%s) is up.", values["pool"], values["process manager"])
	write("up", "gauge", strings.ReplaceAll(help, `\`, `\\`), "1")
	for _, m := range metrics {
		if value, ok := values[m.field]; ok {
			write(m.name, m.kind, m.help, value)
		}
	}
	out.WriteString("# EOF\n")
}

// clockTime formats a time for text and HTML, epochTime for the other formats.
func clockTime(t time.Time) string { return t.Local().Format("02/Jan/2006:15:04:05 -0700") }
func epochTime(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// text returns the value as a line of UTF-8 text.
func (f field) text(formatTime func(time.Time) string) string {
	switch v := f.value.(type) {
	case time.Time:
		return formatTime(v)
	case percentage:
		return strconv.FormatFloat(float64(v), 'f', 2, 64)
	case string:
		return printable(v)
	default:
		return fmt.Sprint(v)
	}
}

// json returns the value as JSON.
func (f field) json() string {
	text := f.text(epochTime)
	if _, ok := f.value.(string); !ok {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("bug: cannot marshal a string: " + err.Error())
	}
	return string(quoted)
}

// printable percent-encodes control characters, and characters that are not valid in
// UTF-8 or XML.
func printable(s string) string {
	unprintable := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF }
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var out strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if unprintable(r) {
			for i := range size {
				fmt.Fprintf(&out, "%%%02X", s[i])
			}
		} else {
			out.WriteString(s[:size])
		}
		s = s[size:]
	}
	return out.String()
}

// escape escapes text for HTML and XML.
func escape(s string) string { return markup.Replace(s) }

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#039;")
