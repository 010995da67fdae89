package command

import (
	"fmt"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// lowWatermark: a cache is almost full when at most one part in so many is free.
const lowWatermark = 20

// longPath is the size of a long path in the realpath cache, in bytes.
const longPath = 500

// isLow reports whether a cache is almost full.
func isLow(free, total int64) bool { return total > 0 && free <= total/lowWatermark }

// cacheWarnings reports caches of PHP that are almost full. Each remedy is a line
// for the Caddyfile.
func (o *opcacheInfo) cacheWarnings() []doctor.Finding {
	var list []doctor.Finding
	add := func(full bool, remedy, format string, args ...any) {
		if full {
			list = append(list, doctor.Finding{Level: doctor.Note, Summary: fmt.Sprintf(format, args...), Remedy: remedy})
		}
	}
	m := &o.Memory
	free := m.Total - m.Used - m.Wasted
	add(!o.Full && isLow(free, m.Total), o.moreMemory(),
		"OPcache is almost full: %s of %s are free", memoryText(free, true), memoryText(m.Total, true))
	add(!o.Full && isLow(o.MaxKeys-o.Keys, o.MaxKeys), o.moreKeys(),
		"OPcache is almost full: %d of %d keys are free", o.MaxKeys-o.Keys, o.MaxKeys)
	if s := o.Strings; s != nil {
		add(isLow(s.Free, s.Total), doubled("opcache.interned_strings_buffer", o.Configuration.Strings>>20),
			"OPcache's string buffer is almost full (%s of %s): strings that do not fit are stored again for each script",
			memoryText(s.Used, true), memoryText(s.Total, true))
	}
	if j := o.JIT; j != nil && j.On {
		add(isLow(j.Free, j.Size), doubled("opcache.jit_buffer_size", o.Configuration.JITBuffer),
			"the JIT buffer is almost full: %s of %s are free", memoryText(j.Free, true), memoryText(j.Size, true))
	}
	r := &o.Realpath
	add(r.Used > 0 && (isLow(r.Max-r.Used, r.Max) || r.Max-r.Used < longPath), doubled("realpath_cache_size", r.Max),
		"the realpath cache of a worker is almost full (%s of %s): other paths are resolved at each use",
		memoryText(r.Used, true), memoryText(r.Max, true))
	return list
}

// doubled returns the remedy that doubles the value of a setting.
func doubled(directive string, now int64) string {
	return fmt.Sprintf("write `ini %s %d` (now %d)", directive, 2*now, now)
}
