package phpbin

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzProcNetUnix parses any text as /proc/net/unix: the name of a socket is
// chosen by the process that binds it.
func FuzzProcNetUnix(f *testing.F) {
	f.Add([]byte("0: 2 00000000: 0 1 1 1 4711 " + bindDir + "/" + dirPrefix + "1-zzzzz-1-1-bmz9ff\n"))
	f.Add([]byte("0: 2 00000000: 0 1 1 1 4711 a\n0: 2 00000000: 0 1 1 1 4711 " + bindDir + "/" + dirPrefix + "1-zzzzz-1-1-bmz9ff\n"))
	scanner := &orphanScanner{pidNS: 1, dirs: []string{"/tmp"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		for link, owner := range scanner.parseSockets(data) {
			if owner.pidNS != 1 || owner.pid <= 0 || !strings.HasPrefix(link, "socket:[") || bytes.Count(data, []byte(bindDir+"/"+dirPrefix)) == 0 {
				t.Errorf("%s: got the dead owner %+v", link, owner)
			}
		}
	})
}
