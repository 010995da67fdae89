package command

import (
	"fmt"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// lowWatermark is the share of a cache's room, one part in so many, that is left when it
// is as good as full.
const lowWatermark = 20

// longPath is about what a path takes in the realpath cache, in bytes.
const longPath = 500

// isLow reports whether so little is left of the whole.
func isLow(left, whole int64) bool { return whole > 0 && left <= whole/lowWatermark }

// cacheWarnings says which of PHP's caches have no room left, before that costs as much
// as a full OPcache does. Each cure is a line of the Caddyfile.
func (o *opcacheInfo) cacheWarnings() []doctor.Finding {
	var list []doctor.Finding
	add := func(full bool, remedy, format string, args ...any) {
		if full {
			list = append(list, doctor.Finding{Level: doctor.Note, Summary: fmt.Sprintf(format, args...), Remedy: remedy})
		}
	}
	m := &o.Memory
	left := m.Total - m.Used - m.Wasted
	add(!o.Full && isLow(left, m.Total), o.moreMemory(),
		"OPcache is almost full: %s of %s are left", memoryText(left, true), memoryText(m.Total, true))
	add(!o.Full && isLow(o.MaxKeys-o.Keys, o.MaxKeys), o.moreKeys(),
		"OPcache is almost full: %d of %d places for keys are left", o.MaxKeys-o.Keys, o.MaxKeys)
	if s := o.Strings; s != nil {
		add(isLow(s.Free, s.Total), doubled("opcache.interned_strings_buffer", o.Configuration.Strings>>20),
			"OPcache's room for strings is as good as full (%s of %s): what does not fit takes more of its memory, once for each script",
			memoryText(s.Used, true), memoryText(s.Total, true))
	}
	if j := o.JIT; j != nil && j.On {
		add(isLow(j.Free, j.Size), doubled("opcache.jit_buffer_size", o.Configuration.JITBuffer),
			"the JIT has hardly room for more code: %s of %s are left", memoryText(j.Free, true), memoryText(j.Size, true))
	}
	r := &o.Realpath
	add(r.Used > 0 && (isLow(r.Max-r.Used, r.Max) || r.Max-r.Used < longPath), doubled("realpath_cache_size", r.Max),
		"the realpath cache of a worker is as good as full (%s of %s): paths that are not in it are looked up anew, part by part, at each use",
		memoryText(r.Used, true), memoryText(r.Max, true))
	return list
}

// doubled is the line that gives a setting twice its value.
func doubled(directive string, now int64) string {
	return fmt.Sprintf("write `ini %s %d` (now %d)", directive, 2*now, now)
}
