package doctor

import (
	"strings"
	"testing"
)

func TestAdminRemedy(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "/run/web")
	want := "write `admin unix//run/web/admin.sock` in the global options, and load that once with `caddy reload --address localhost:2019`; or write `admin off`"
	if got := AdminRemedy("localhost:2019"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := adminRemedy("localhost:2019", ""); !strings.HasPrefix(got, "create a directory") || !strings.Contains(got, "RuntimeDirectory=caddy") {
		t.Errorf("without a directory: got %s", got)
	}
}
