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

// format is one of the forms in which php-fpm shows its status.
type format struct {
	query       string // that asks for it
	contentType string
	write       func(*bytes.Buffer, *Page)
}

// formats are looked for in this order, as php-fpm does.
var formats = []format{
	{"html", "text/html;charset=UTF-8", writeHTML},
	{"xml", "text/xml;charset=UTF-8", writeXML},
	{"json", "application/json", writeJSON},
	{"openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", writeMetrics},
}

var plainText = format{"", "text/plain;charset=UTF-8", writeText}

func formatFor(query url.Values) format {
	for _, f := range formats {
		if query.Has(f.query) {
			return f
		}
	}
	return plainText
}

// Respond writes the page in the format that the query asks for, by one of the
// names `html`, `xml`, `json` and `openmetrics`; else as text.
func (p *Page) Respond(w http.ResponseWriter, query url.Values) error {
	f := formatFor(query)
	var out bytes.Buffer
	f.write(&out, p)
	return respond(w, f.contentType, out.Bytes())
}

// RespondPong answers as php-fpm's ping page does.
func RespondPong(w http.ResponseWriter) error {
	return respond(w, plainText.contentType, []byte("pong"))
}

// respond answers with the headers of php-fpm's own pages.
func respond(w http.ResponseWriter, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	_, err := w.Write(body)
	return err
}

func writeText(out *bytes.Buffer, page *Page) {
	write := func(fields []field) {
		for _, f := range fields {
			name := f.name
			if name == "request uri" {
				name = "request URI" // in this format alone
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

// writeTable has a column for each field.
func writeTable(out *bytes.Buffer, processes [][]field) {
	out.WriteString("<table border=\"1\">\n<tr>")
	// The head is there without a process too.
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

// metrics are php-fpm's, in its order; they know no processes. Names and
// types are php-fpm's too, though some that it calls counters are gauges.
var metrics = []struct{ name, kind, field, help string }{
	{"start_since", "counter", "start since", "Seconds since the pool was made."},
	{"accepted_connections", "counter", "accepted conn", "Requests that got a worker."},
	{"listen_queue", "gauge", "listen queue", "Requests that wait for a worker."},
	{"max_listen_queue", "counter", "max listen queue", "The most requests that ever waited at a time."},
	{"listen_queue_length", "gauge", "listen queue len", "How many requests may wait (max_queue)."},
	{"idle_processes", "gauge", "idle processes", "Workers that are idle."},
	{"active_processes", "gauge", "active processes", "Workers that run PHP."},
	{"total_processes", "gauge", "total processes", "Workers that are idle or run PHP."},
	{"max_active_processes", "counter", "max active processes", "The most workers that ever ran PHP at a time."},
	{"max_children_reached", "counter", "max children reached", "How often a request waited although there were as many workers as there may be."},
	{"slow_requests", "counter", "slow requests", "Requests that ran longer than slow_request."},
	{"memory_peak", "gauge", "memory peak", "Always 0: php-cgi does not report the memory that a request used at most."},
}

func writeMetrics(out *bytes.Buffer, page *Page) {
	values := map[string]string{}
	for _, f := range page.pool {
		values[f.name] = f.text(epochTime)
	}
	write := func(name, kind, help, value string) {
		fmt.Fprintf(out, "# HELP phpfpm_%[1]s %[3]s\n# TYPE phpfpm_%[1]s %[2]s\nphpfpm_%[1]s %[4]s\n", name, kind, help, value)
	}
	// The only place where the pool's name is. In a help text the backslash
	// escapes.
	about := fmt.Sprintf("Whether pool %s (%s) is there.", values["pool"], values["process manager"])
	write("up", "gauge", strings.ReplaceAll(about, `\`, `\\`), "1")
	for _, m := range metrics {
		if value, ok := values[m.field]; ok {
			write(m.name, m.kind, m.help, value)
		}
	}
	out.WriteString("# EOF\n")
}

// clockTime is how the formats for people write a moment, in local time;
// epochTime that for machines.
func clockTime(t time.Time) string { return t.Local().Format("02/Jan/2006:15:04:05 -0700") }
func epochTime(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// text is the value in one line of UTF-8.
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

// json is the value in JSON: but for strings that is what the text is.
func (f field) json() string {
	text := f.text(epochTime)
	if _, ok := f.value.(string); !ok {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("bug: a string that has no JSON: " + err.Error())
	}
	return string(quoted)
}

// printable writes what would break a line, or could not be written in XML or
// UTF-8, as %XX, as it is in URIs.
func printable(s string) string {
	broken := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF }
	if strings.IndexFunc(s, broken) < 0 {
		return s
	}
	var out strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if broken(r) {
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

// escape is text for HTML and XML.
func escape(s string) string { return markup.Replace(s) }

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#039;")
