package doctor

import (
	"os"
	"runtime"

	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// checkSystem checks the machine.
func checkSystem(pools []Pool) Subject {
	var f findings
	f.ok("%s on %s, Caddy can use %s", runtime.GOOS, runtime.GOARCH, human.Plural(runtime.GOMAXPROCS(0), "CPU"))
	if runtime.GOOS == "linux" && runtime.GOMAXPROCS(0) > 2 {
		f.ok("threads auto in the global options may leave PHP more of them: with two CPUs, short pages took up to a fifth less CPU time")
	}
	if err := checkWritable(os.TempDir(), nil); err != nil {
		f.problem("set TMPDIR to a directory where Caddy can write",
			"cannot create files in %s, which is used for request bodies and the workers' sockets: %v", os.TempDir(), err)
	} else {
		f.ok("can create files in %s", os.TempDir())
	}
	f.descriptors()
	f.kernel(pools)
	return Subject{Kind: "system", Findings: f}
}
