// Package human formats numbers for people. JSON has them in addition to the raw
// numbers, tables instead of them.
package human

import "github.com/dustin/go-humanize"

// Bytes formats a size with a binary unit, like "1.5 MiB". A negative number, which
// PHP may report, is formatted as 0.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
