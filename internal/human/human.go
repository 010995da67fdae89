// Package human formats numbers for people: for tables, and for the readable
// twins of numbers in JSON.
package human

import "github.com/dustin/go-humanize"

// Bytes formats a size in bytes. Negative values, which PHP may report, count as 0.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
