package opcache

// SinglesShare reports whether php-cgi processes that were not forked from a common
// parent share an OPcache. On Windows those of a generation attach to the same
// shared memory (see generationINI in package phpbin).
const SinglesShare = true

// checkSticky returns nil: on Windows every user has an own directory for temporary
// files.
func checkSticky(string) error { return nil }
