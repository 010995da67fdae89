package listener

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// accessLog writes a line for each request, in php-fpm's access.format
// (sapi/fpm/fpm/fpm_log.c).
type accessLog struct {
	tokens   []accessToken
	suppress []string // paths whose successful requests without a query or body have no line
	logger   *zap.Logger
}

// accessToken is a part of the format: text, or a value with its modifier, as in
// %{milli}d.
type accessToken struct {
	text     string
	verb     byte // 0 for text
	modifier string
}

// modifiers are those that a verb may have, besides none. Those of other verbs are not
// checked.
var modifiers = map[byte][]string{
	'C': {"total", "user", "system"},
	'd': {"seconds", "milliseconds", "milli", "miliseconds", "mili", "microseconds", "micro"},
	'M': {"bytes", "kilobytes", "kilo", "megabytes", "mega"},
}

const (
	needsModifier = "eo"                   // the name of a variable, or of a header
	verbs         = "%CdeflmMnopPqQrRstTu" // all of them
)

// CheckAccessFormat returns an error if php-fpm would not take an access.format.
func CheckAccessFormat(format string) error {
	_, err := parseAccessFormat(format)
	return err
}

func parseAccessFormat(format string) ([]accessToken, error) {
	var tokens []accessToken
	for format != "" {
		before, after, ok := strings.Cut(format, "%")
		if before != "" {
			tokens = append(tokens, accessToken{text: before})
		}
		if format = after; !ok {
			break
		}
		modifier := ""
		if strings.HasPrefix(format, "{") {
			if modifier, format, ok = strings.Cut(format[1:], "}"); !ok {
				return nil, fmt.Errorf("access log format: %%{%s has no closing brace", modifier)
			}
		}
		if format == "" || strings.IndexByte(verbs, format[0]) < 0 {
			return nil, fmt.Errorf("access log format: %%%.1s is not one of %%%s", format, strings.Join(strings.Split(verbs, ""), " %"))
		}
		t := accessToken{verb: format[0], modifier: modifier}
		format = format[1:]
		if known := modifiers[t.verb]; known != nil && modifier != "" && !slices.Contains(known, strings.ToLower(modifier)) {
			return nil, fmt.Errorf("access log format: %%{%s}%c: write one of %s in the braces", modifier, t.verb, strings.Join(known, ", "))
		}
		if strings.IndexByte(needsModifier, t.verb) >= 0 && modifier == "" {
			return nil, fmt.Errorf("access log format: %%%c needs a name, as in %%{NAME}%c", t.verb, t.verb)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// logAccess writes the line of a request that has its response. resp is nil if that is
// not from PHP.
func (x *request) logAccess(resp *pool.Response) {
	a := x.l.access
	if a == nil {
		return
	}
	if resp != nil {
		x.status = resp.HTTP.StatusCode
	}
	if x.suppressed() {
		return
	}
	var line strings.Builder
	for i := range a.tokens {
		t := &a.tokens[i]
		if t.verb == 0 {
			line.WriteString(t.text)
			continue
		}
		line.WriteString(x.accessValue(t, resp))
	}
	a.logger.Info(line.String(), zap.String("pool", x.l.pool.Name))
}

// suppressed reports whether access.suppress_path keeps the request out of the log.
func (x *request) suppressed() bool {
	p := &x.params
	method := p.get(requestMethod)
	return len(x.l.access.suppress) > 0 && (method == "GET" || method == "HEAD") && x.status >= 200 && x.status < 300 &&
		x.body.Length == 0 && p.get(queryString) == "" && slices.Contains(x.l.access.suppress, p.get(scriptName))
}

// accessValue returns a value. CPU time and memory are those of a request in php-fpm;
// php-cgi does not report them.
func (x *request) accessValue(t *accessToken, resp *pool.Response) string {
	p := &x.params
	switch t.verb {
	case '%':
		return "%"
	case 'd':
		return formatDuration(time.Since(x.start), strings.ToLower(t.modifier))
	case 'e':
		return dash(x.variable(t.modifier))
	case 'f':
		return dash(x.pool.Info.Script) // empty if no script was found
	case 'l':
		return strconv.FormatInt(max(0, x.body.Length), 10)
	case 'm':
		return dash(p.get(requestMethod))
	case 'n':
		return x.l.pool.Name
	case 'o':
		if resp != nil {
			return dash(resp.HTTP.Header.Get(t.modifier))
		}
	case 'p':
		if resp != nil {
			return strconv.Itoa(resp.PID)
		}
	case 'q':
		return p.get(queryString)
	case 'Q':
		if p.get(queryString) != "" {
			return "?"
		}
		return ""
	case 'r':
		return p.get(scriptName)
	case 'R':
		if tcp, ok := x.in.RemoteAddr().(*net.TCPAddr); ok {
			return tcp.AddrPort().Addr().Unmap().String()
		}
	case 's':
		return strconv.Itoa(x.status)
	case 't':
		return formatTime(x.start, t.modifier)
	case 'T':
		return formatTime(time.Now(), t.modifier)
	case 'u':
		if p.has(remoteUser) {
			return p.get(remoteUser)
		}
	}
	return "-"
}

// variable returns any parameter of the request.
func (x *request) variable(name string) string {
	for block := x.params.block; len(block) > 0; {
		key, text, size := fastcgi.NextPair(block)
		if size == 0 {
			break
		}
		if string(key) == name {
			if v := variableOf(key); v != other {
				return x.params.get(v)
			}
			return string(text)
		}
		block = block[size:]
	}
	return ""
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func formatDuration(d time.Duration, unit string) string {
	switch {
	case strings.HasPrefix(unit, "mil"):
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64)
	case strings.HasPrefix(unit, "micro"):
		return strconv.FormatInt(d.Microseconds(), 10)
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 3, 64)
}

// strftime has the conversions of strftime(3) in the C locale, as layouts of package
// time.
var strftime = strings.NewReplacer("%%", "%", "%a", "Mon", "%A", "Monday", "%b", "Jan", "%h", "Jan", "%B", "January", "%d", "02", "%e", "_2",
	"%H", "15", "%I", "03", "%j", "002", "%m", "01", "%M", "04", "%p", "PM", "%S", "05", "%y", "06", "%Y", "2006", "%z", "-0700", "%Z", "MST",
	"%T", "15:04:05", "%F", "2006-01-02", "%D", "01/02/06", "%R", "15:04", "%c", "Mon Jan _2 15:04:05 2006")

func formatTime(t time.Time, format string) string {
	if format == "" {
		format = "%d/%b/%Y:%H:%M:%S %z"
	}
	format = strings.ReplaceAll(format, "%s", strconv.FormatInt(t.Unix(), 10))
	return t.Format(strftime.Replace(format))
}
