package doctor

import (
	"os"
	"runtime"
)

// checkSystem looks at the machine that all pools are on.
func checkSystem(pools []Pool) Subject {
	var f findings
	f.ok("%s on %s, %s for Go programs", runtime.GOOS, runtime.GOARCH, count(runtime.GOMAXPROCS(0), "CPU"))
	if err := checkWritable(os.TempDir(), nil); err != nil {
		f.problem("set TMPDIR to a directory where Caddy can write",
			"no files can be made in %s, where request bodies and workers' sockets go: %v", os.TempDir(), err)
	} else {
		f.ok("files can be made in %s", os.TempDir())
	}
	f.descriptors()
	f.kernel(pools)
	return Subject{Kind: "system", Findings: f}
}
