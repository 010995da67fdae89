package caddymodule

// singlesShareOPcache: on Windows the processes of a generation attach to one
// piece of memory (phpbin's generationINI names it).
const singlesShareOPcache = true

// onlyOwnersRename: the directory for temporary files is the user's own.
func onlyOwnersRename(string) error { return nil }
