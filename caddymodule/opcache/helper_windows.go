package opcache

// SinglesShare says whether php-cgi processes that were not forked from one
// another share an OPcache: those of a generation attach to one piece of memory
// (phpbin's generationINI names it).
const SinglesShare = true

// checkSticky: the directory for temporary files is the user's own.
func checkSticky(string) error { return nil }
