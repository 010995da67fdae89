// Package human writes numbers for people, as they stand beside the raw ones in
// JSON and in tables.
package human

import "github.com/dustin/go-humanize"

// Bytes is a size. PHP's own numbers may be negative, which then are 0.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
