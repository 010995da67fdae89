package phpbin

import (
	"context"
	"html"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// PHPInfo is what a php-cgi says of itself at length.
type PHPInfo struct {
	// Extensions are the loaded ones, by the names they give themselves.
	Extensions []string

	rows map[string]string
}

// Setting returns an ini directive as it is in force, in phpinfo()'s words: "On"
// and "Off" for what is one of both, and nothing for no value. ok says whether
// this php-cgi knows the directive.
func (i *PHPInfo) Setting(name string) (value string, ok bool) {
	value, ok = i.rows[name]
	return noValue.ReplaceAllString(value, ""), ok
}

// Bytes returns a directive that is a size as [Binary.MemoryLimit] has it.
func (i *PHPInfo) Bytes(name string) int64 {
	value, _ := i.Setting(name)
	return parseBytes(value)
}

// ReadPHPInfo asks the php-cgi at path, once, for all that phpinfo() tells. As with
// [Probe], opcache.preload is not run and tells nothing here, nor do error_log
// and log_errors.
func ReadPHPInfo(ctx context.Context, path string, o Options) (*PHPInfo, error) {
	o.Binary = path
	o.INI = append(slices.Clip(o.INI), detectINI()...)
	stdout, stderr, err := o.run(ctx, "-q", "-i")
	if err != nil {
		return nil, runError(ctx, path, "", stderr, err)
	}
	i := &PHPInfo{rows: parsePHPInfo(stdout)}
	for _, m := range infoModule.FindAllStringSubmatch(stdout, -1) {
		i.Extensions = append(i.Extensions, html.UnescapeString(m[1]))
	}
	slices.SortFunc(i.Extensions, func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return i, nil
}

var (
	// The head of an extension's section of phpinfo() (ext/standard/info.c,
	// php_info_print_module).
	infoModule = regexp.MustCompile(`<h2><a name="module_[^"]*"[^>]*>([^<]*)</a></h2>`)

	// What phpinfo() writes for an empty string.
	noValue = regexp.MustCompile(`^<i>no value</i>$`)
)

// A row of phpinfo() as php-cgi writes it (ext/standard/info.c): the name, and
// its value here, which for a directive is followed by the one of php.ini.
var infoRow = regexp.MustCompile(`<tr><td class="e">(.*?)</td><td class="v">((?s:.*?))</td>`)

// parsePHPInfo reads the rows of phpinfo(). A name that occurs again, in the
// section of another extension, keeps its first value.
func parsePHPInfo(page string) map[string]string {
	rows := map[string]string{}
	for _, m := range infoRow.FindAllStringSubmatch(page, -1) {
		name := strings.TrimSpace(html.UnescapeString(m[1]))
		if _, ok := rows[name]; !ok {
			rows[name] = strings.TrimSpace(html.UnescapeString(m[2]))
		}
	}
	return rows
}

// The heading of phpinfo(), whose version may have a suffix as that of php -v.
var infoVersion = regexp.MustCompile(`>PHP Version (\d+\.\d+\.\d+)([^<\s]*)</h1>`)

// readVersion takes from phpinfo() what php -v says too. It reports false where
// that is not to be found, or it is not that of php-cgi.
func (b *Binary) readVersion(page string, rows map[string]string) bool {
	m := infoVersion.FindStringSubmatch(page)
	if m == nil || rows["Server API"] != "CGI/FastCGI" {
		return false
	}
	v, _, _, ok := parseVersion("PHP " + m[1] + m[2] + " (" + cgiSAPI + ")")
	b.Version, b.VersionText, b.SAPI = v, m[1]+m[2], cgiSAPI
	return ok
}

// read takes from phpinfo() what concerns a pool.
func (b *Binary) readRows(rows map[string]string) {
	b.ZTS = rows["Thread Safety"] == "enabled"
	b.OPcache = rows["Opcode Caching"] == "Up and Running"
	b.JIT = b.OPcache && rows["JIT"] == "On"
	b.MemoryLimit = parseBytes(rows["memory_limit"])
	b.INIFile = emptyIfNone(rows["Loaded Configuration File"])
	b.INIPath = emptyIfNone(rows["Configuration File (php.ini) Path"])
	b.INIScanDir = emptyIfNone(rows["Scan this dir for additional .ini files"])
	for file := range strings.SplitSeq(emptyIfNone(rows["Additional .ini files parsed"]), ",") {
		if file = strings.TrimSpace(file); file != "" {
			b.ScannedFiles = append(b.ScannedFiles, file)
		}
	}
}

// emptyIfNone turns what phpinfo() writes for nothing into nothing.
func emptyIfNone(value string) string {
	if value == "(none)" {
		return ""
	}
	return value
}

// parseBytes reads a size as php does ("128M"), which stops at the first byte
// that it does not understand. What is no size at all is 0.
func parseBytes(value string) int64 {
	digits := strings.TrimRight(value, "KkMmGgBb ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	if n < 0 {
		return -1
	}
	shift := 0
	switch strings.ToLower(strings.TrimSpace(value[len(digits):])) {
	case "k":
		shift = 10
	case "m":
		shift = 20
	case "g":
		shift = 30
	}
	if n > math.MaxInt64>>shift {
		return math.MaxInt64
	}
	return n << shift
}
