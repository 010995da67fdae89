// Package opcache asks the workers of a pool about their OPcache, and empties it.
//
// OPcache tells of itself only from within, to a script that a worker runs
// (opcache.php; helper.go puts it there and takes it away, ask.go asks, cache.go
// sees to it that this is rare). It has to be a file with a path. What was tried
// to do without, with php-cgi 8.2: a memfd, an O_TMPFILE and an unlinked file that
// the workers inherit, as /proc/self/fd/N and /dev/fd/N, are all "No input file
// specified", because PHP resolves the link and finds no "/memfd:x (deleted)"; an
// inherited file that has a path runs under that path, so nothing is won; of
// php://memory, php://stdin, php://input, php://filter and data: none can be the
// script of a request, whatever allow_url_include says. open_basedir holds for all
// of them, and .user.ini can only narrow it.
//
// So the file lies in the directory for temporary files, which an open_basedir
// often allows because of uploads, for as long as it takes. The .user.ini beside
// it switches OPcache off for that one request (opcache_get_status works all the
// same): the numbers are those of the site alone. A reset needs it on.
package opcache
