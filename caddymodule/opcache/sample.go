package opcache

import (
	"time"

	"github.com/dustin/go-humanize"

	"github.com/mevdschee/caddy-php-pool/internal/human"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Description is the response of the admin API.
type Description struct {
	// Available is true if there is a sample of the current generation.
	Available bool `json:"available"`
	// Reason says why there is no sample, or no newer one.
	Reason string `json:"reason,omitempty"`
	// Age is the age of the sample, or of the last failed query.
	Age *float64 `json:"age_seconds,omitempty"`
	// Scope is `pool` if all workers share an OPcache, and `worker` if each has its
	// own and the sample is of one of them.
	Scope Scope `json:"scope,omitempty"`
	*Sample
}

// Sample is the OPcache status of a worker. Sizes are in bytes, each also as a text
// for people.
type Sample struct {
	At time.Time `json:"-"` // when it was taken

	Worker     uint64 `json:"worker"`
	PID        int    `json:"pid"`
	Generation int    `json:"generation"`

	// Enabled is false while a restart is pending: PHP then compiles every script
	// for each request.
	Enabled       bool          `json:"enabled"`
	Full          bool          `json:"full"`
	Hits          int64         `json:"hits"`
	Misses        int64         `json:"misses"`
	HitRate       float64       `json:"hit_rate"`
	HitRateHuman  string        `json:"hit_rate_human"`
	Scripts       int64         `json:"scripts"`
	Keys          int64         `json:"keys"`
	MaxKeys       int64         `json:"max_keys"`
	Started       string        `json:"started"`
	Memory        Memory        `json:"memory"`
	Strings       *Strings      `json:"interned_strings,omitempty"`
	Restarts      Restarts      `json:"restarts"`
	JIT           *JIT          `json:"jit,omitempty"`
	Configuration Configuration `json:"configuration"`
	// Realpath is the cache of the queried worker: each worker has its own.
	Realpath Realpath `json:"realpath_cache"`
}

// Memory is the memory of compiled scripts.
type Memory struct {
	Total       int64  `json:"total_bytes"`
	TotalHuman  string `json:"total_human"`
	Used        int64  `json:"used_bytes"`
	UsedHuman   string `json:"used_human"`
	Free        int64  `json:"free_bytes"`
	FreeHuman   string `json:"free_human"`
	Wasted      int64  `json:"wasted_bytes"`
	WastedHuman string `json:"wasted_human"`
}

// Strings is the memory of interned strings.
type Strings struct {
	Total      int64  `json:"total_bytes"`
	TotalHuman string `json:"total_human"`
	Used       int64  `json:"used_bytes"`
	UsedHuman  string `json:"used_human"`
	Free       int64  `json:"free_bytes"`
	FreeHuman  string `json:"free_human"`
	Count      int64  `json:"count"`
}

// Restarts counts how often the cache was emptied: because memory or the hash table
// of keys was full, or by opcache_reset().
type Restarts struct {
	OOM        int64  `json:"oom"`
	Hash       int64  `json:"hash"`
	Manual     int64  `json:"manual"`
	Last       string `json:"last,omitempty"`
	Pending    bool   `json:"pending"`
	InProgress bool   `json:"in_progress"`
}

// JIT is the state of the JIT compiler and its buffer.
type JIT struct {
	Enabled   bool   `json:"enabled"`
	On        bool   `json:"on"`
	Size      int64  `json:"buffer_size_bytes"`
	SizeHuman string `json:"buffer_size_human"`
	Free      int64  `json:"buffer_free_bytes"`
	FreeHuman string `json:"buffer_free_human"`
}

// Configuration has the settings of OPcache in php.ini.
type Configuration struct {
	Memory     int64  `json:"memory_consumption_bytes"`
	Strings    int64  `json:"interned_strings_buffer_bytes"`
	Files      int64  `json:"max_accelerated_files"`
	Validate   bool   `json:"validate_timestamps"`
	Revalidate int64  `json:"revalidate_freq_seconds"`
	JIT        string `json:"jit,omitempty"`
	JITBuffer  int64  `json:"jit_buffer_size_bytes"`
}

// Realpath is the realpath cache.
type Realpath struct {
	Used      int64  `json:"used_bytes"`
	UsedHuman string `json:"used_human"`
	Max       int64  `json:"max_bytes"`
	MaxHuman  string `json:"max_human"`
}

// newSample returns the sample for a response of the helper script.
func newSample(resp *helperResponse, info pool.QueryInfo, at time.Time) *Sample {
	st, stats, d := resp.Status, resp.Status.Statistics, resp.Directives
	out := &Sample{
		At: at, Worker: info.Worker, PID: info.PID, Generation: info.Generation,
		Enabled: !st.Pending && !st.InProgress, Full: st.Full,
		Hits: stats.Hits, Misses: stats.Misses, Scripts: stats.Scripts, Keys: stats.Keys, MaxKeys: stats.MaxKeys,
		Started: formatTime(stats.Start),
		Memory:  newMemory(st.Memory.Used, st.Memory.Free, st.Memory.Wasted),
		Restarts: Restarts{
			OOM: stats.OOM, Hash: stats.Hash, Manual: stats.Manual, Last: formatTime(stats.LastRestart),
			Pending: st.Pending, InProgress: st.InProgress,
		},
		Configuration: Configuration{
			Memory: d.Memory, Strings: d.Strings << 20, Files: d.Files, Validate: d.Validate,
			Revalidate: d.Revalidate, JIT: d.JIT, JITBuffer: d.JITBuffer,
		},
		Realpath: Realpath{resp.Realpath.Used, human.Bytes(resp.Realpath.Used), resp.Realpath.Max, human.Bytes(resp.Realpath.Max)},
	}
	if total := stats.Hits + stats.Misses; total > 0 {
		out.HitRate = float64(stats.Hits) / float64(total)
	}
	// FtoaWithDigits truncates, so that 100% means no misses.
	out.HitRateHuman = humanize.FtoaWithDigits(100*out.HitRate, 2) + "%"
	if s := st.Strings; s != nil {
		out.Strings = &Strings{s.Size, human.Bytes(s.Size), s.Used, human.Bytes(s.Used), s.Free, human.Bytes(s.Free), s.Number}
	}
	if j := st.JIT; j != nil {
		out.JIT = &JIT{j.Enabled, j.On, j.Size, human.Bytes(j.Size), j.Free, human.Bytes(j.Free)}
	}
	return out
}

// newMemory returns the Memory for PHP's numbers. PHP's used does not include wasted.
func newMemory(used, free, wasted int64) Memory {
	total := used + free + wasted
	return Memory{total, human.Bytes(total), used, human.Bytes(used), free, human.Bytes(free), wasted, human.Bytes(wasted)}
}

// formatTime formats a Unix time of PHP; 0 means never.
func formatTime(unix int64) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).Format(time.RFC3339)
}
