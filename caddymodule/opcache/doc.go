// Package opcache reads the OPcache status of a pool's workers, and resets it.
//
// Only a script that runs in a worker can read or reset its OPcache: the helper
// script opcache.php. PHP runs only files with a path, so the script is written to
// the directory for temporary files for as long as a query takes. An open_basedir
// often allows that directory because of uploads.
//
// The .user.ini next to the script disables OPcache for the query, so that the
// numbers are those of the site alone; opcache_get_status works all the same. For a
// reset OPcache must be enabled.
//
//	helper.go   writes and removes the helper script
//	query.go    runs it in a worker and decodes its response
//	cache.go    limits how often that happens and keeps the last sample
//	sample.go   the sample as JSON
//	reset.go    resets the OPcache
package opcache
