package phpbin

import (
	"context"
	"html"
	"regexp"
	"slices"
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
