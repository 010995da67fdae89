package doctor

import "testing"

func TestKernel_MigrateRequests(t *testing.T) {
	off, on := write(t, t.TempDir(), "off", "0\n"), write(t, t.TempDir(), "on", "1\n")
	var f findings
	f.migrateRequests(off)
	wantFinding(t, f, Note, "tcp_migrate_req is 0", "sysctl -w net.ipv4.tcp_migrate_req=1")
	f = nil
	f.migrateRequests(on)
	wantFinding(t, f, OK, "resets no connection", "")
	f = nil
	if f.migrateRequests(off + ".missing"); len(f) > 0 {
		t.Errorf("an older kernel: got:\n%s", format(f))
	}
}
