package poolcfg

import "io/fs"

// fileOwner returns 0: Windows has no numeric users.
func fileOwner(fs.FileInfo) (uid uint32) { return 0 }
