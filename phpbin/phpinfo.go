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

// PHPInfo is the content of a phpinfo() page.
type PHPInfo struct {
	// Extensions are the names of the loaded extensions, sorted.
	Extensions []string

	// Directives are the names of the ini directives, sorted. An extension that does
	// not show its directives is missing, as mysqlnd.
	Directives []string

	rows map[string]string
}

// Setting returns the value of an ini directive as phpinfo() shows it: "On" and "Off"
// for a boolean, "" for no value. ok reports whether the directive exists.
func (i *PHPInfo) Setting(name string) (value string, ok bool) {
	value, ok = i.rows[name]
	return noValue.ReplaceAllString(value, ""), ok
}

// Bytes returns the value of an ini directive that is a size, in bytes: -1 if it is
// negative, 0 if it is not a size.
func (i *PHPInfo) Bytes(name string) int64 {
	value, _ := i.Setting(name)
	return parseBytes(value)
}

// ReadPHPInfo runs the php-cgi at path with the options o for its phpinfo() page. As
// in [Detect], the values of opcache.preload, error_log and log_errors are
// overridden.
func ReadPHPInfo(ctx context.Context, path string, o Options) (*PHPInfo, error) {
	o.Binary = path
	o.INI = append(slices.Clip(o.INI), detectINI()...)
	stdout, stderr, err := o.run(ctx, "-q", "-i")
	if err != nil {
		return nil, runError(ctx, path, "", stderr, err)
	}
	i := &PHPInfo{rows: parsePHPInfo(stdout), Extensions: parseExtensions(stdout), Directives: parseDirectives(stdout)}
	slices.SortFunc(i.Extensions, func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return i, nil
}

var (
	// infoModule matches the heading of an extension (ext/standard/info.c,
	// php_info_print_module).
	infoModule = regexp.MustCompile(`<h2><a name="module_[^"]*"[^>]*>([^<]*)</a></h2>`)

	// noValue matches what phpinfo() writes for an empty string.
	noValue = regexp.MustCompile(`^<i>no value</i>$`)
)

// infoRow matches a row of phpinfo() (ext/standard/info.c): a name and its local
// value. The master value of a directive follows.
var infoRow = regexp.MustCompile(`<tr><td class="e">(.*?)</td><td class="v">((?s:.*?))</td>`)

// parseExtensions returns the names of the extensions in a phpinfo() page.
func parseExtensions(page string) []string {
	var names []string
	for _, m := range infoModule.FindAllStringSubmatch(page, -1) {
		names = append(names, html.UnescapeString(m[1]))
	}
	return names
}

// parseDirectives returns the names of the ini directives in a phpinfo() page,
// sorted: of the rows, only those of directives have two values, the local and the
// master value (main/php_ini.c, php_ini_displayer).
func parseDirectives(page string) []string {
	var names []string
	for row := range strings.SplitSeq(page, "<tr>") {
		name, values, ok := strings.Cut(row, "</td>")
		if name, isRow := strings.CutPrefix(name, `<td class="e">`); ok && isRow && strings.Count(values, `<td class="v">`) == 2 {
			names = append(names, strings.TrimSpace(html.UnescapeString(name)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parsePHPInfo parses the rows of a phpinfo() page. If a name occurs again, in the
// section of another extension, the first value is kept.
func parsePHPInfo(page string) map[string]string {
	rows := map[string]string{}
	for _, m := range infoRow.FindAllStringSubmatch(page, -1) {
		name := strings.TrimSpace(html.UnescapeString(m[1]))
		if _, ok := rows[name]; !ok {
			value := strings.ReplaceAll(html.UnescapeString(m[2]), "\u00a0", " ") // php_info_html_esc
			rows[name] = strings.TrimSpace(value)
		}
	}
	return rows
}

// infoVersion matches the heading of phpinfo(). The version may have a suffix, as in
// php -v.
var infoVersion = regexp.MustCompile(`>PHP Version (\d+\.\d+\.\d+)([^<\s]*)</h1>`)

// readVersion sets the version and the SAPI from a phpinfo() page. It returns false
// if it cannot, or if the page is not from php-cgi.
func (b *Binary) readVersion(page string, rows map[string]string) bool {
	m := infoVersion.FindStringSubmatch(page)
	if m == nil || rows["Server API"] != "CGI/FastCGI" {
		return false
	}
	v, _, _, ok := parseVersion("PHP " + m[1] + m[2] + " (" + cgiSAPI + ")")
	b.Version, b.VersionText, b.SAPI = v, m[1]+m[2], cgiSAPI
	return ok
}

// binarySettings are the directives that [Binary.Setting] knows.
var binarySettings = []string{
	"auto_prepend_file", "cgi.fix_pathinfo", "disable_functions", "fastcgi.logging", "open_basedir", "opcache.file_cache_only", "opcache.preload_user",
	"sendmail_path", "xdebug.mode", "xdebug.remote_enable",
}

// readRows sets the rest of b from the rows of phpinfo().
func (b *Binary) readRows(rows map[string]string) {
	b.ZTS = rows["Thread Safety"] == "enabled"
	b.OPcache = rows["Opcode Caching"] == "Up and Running"
	b.JIT = b.OPcache && rows["JIT"] == "On"
	_, loaded := rows["Opcode Caching"]
	b.unsteady = loaded && !b.OPcache && !isOff(rows, "opcache.enable")
	b.extensionDir = rows["extension_dir"]
	b.MemoryLimit = parseBytes(rows["memory_limit"])
	b.settings = make(map[string]string, len(binarySettings))
	for _, name := range binarySettings {
		if value, ok := rows[name]; ok {
			b.settings[name] = noValue.ReplaceAllString(value, "")
		}
	}
	b.INIFile = emptyIfNone(rows["Loaded Configuration File"])
	b.INIPath = emptyIfNone(rows["Configuration File (php.ini) Path"])
	b.INIScanDir = emptyIfNone(rows["Scan this dir for additional .ini files"])
	for file := range strings.SplitSeq(emptyIfNone(rows["Additional .ini files parsed"]), ",") {
		if file = strings.TrimSpace(file); file != "" {
			b.ScannedFiles = append(b.ScannedFiles, file)
		}
	}
}

// emptyIfNone returns "" for the placeholder of phpinfo().
func emptyIfNone(value string) string {
	if value == "(none)" {
		return ""
	}
	return value
}

// parseBytes parses a size as PHP does: "128M" is 128 MiB. It returns -1 for a
// negative number, and 0 for anything that is not a size.
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
