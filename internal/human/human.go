<<<<<<< HEAD
// Package human formats numbers for people. JSON has them in addition to the raw
// numbers, tables instead of them.
=======
// Package human formats numbers for people: for tables, and for the readable
// twins of numbers in JSON.
>>>>>>> c49e4e2 (doctor: findings, remedies and comments in plain English)
package human

import "github.com/dustin/go-humanize"

<<<<<<< HEAD
// Bytes formats a size with a binary unit, like "1.5 MiB". A negative number, which
// PHP may report, is formatted as 0.
=======
// Bytes formats a size in bytes. Negative values, which PHP may report, count as 0.
>>>>>>> c49e4e2 (doctor: findings, remedies and comments in plain English)
func Bytes(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
