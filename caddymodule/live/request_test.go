package live

import (
	"errors"
	"net/http"
	"runtime"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestAdminINI_UncoveredScript(t *testing.T) {
	p := &Pool{Name: "p"}
	if err := p.CheckAdminINI("/new/x.php"); err != nil {
		t.Errorf("a pool without admin_ini: %v", err)
	}
	p.adminINIDirs.Store((&poolcfg.Plan{Process: phpbin.Options{
		AdminINI: []phpbin.Setting{{Name: "a", Value: "b"}}, AdminDirs: []string{"/srv", "/var", "c:"},
	}}).AdminINIDirs())
	for path, covered := range map[string]bool{
		"/srv/x.php": runtime.GOOS != "windows", "/var/www/x.php": runtime.GOOS != "windows", `C:\www\x.php`: runtime.GOOS == "windows",
		"/new/x.php": false, "/srv2/x.php": false, "//srv/x.php": false, "/./srv/x.php": false, "/x.php": false,
	} {
		err := p.CheckAdminINI(path)
		var status caddyhttp.HandlerError
		if (err == nil) != covered || err != nil && (!errors.As(err, &status) || status.StatusCode != http.StatusInternalServerError) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
