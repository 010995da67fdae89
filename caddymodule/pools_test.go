package caddymodule

import (
	"errors"
	"net/http"
	"runtime"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestAScriptForWhichNoAdminSettingHoldsIsRefused(t *testing.T) {
	p := &managedPool{name: "p"}
	if err := p.checkAdminINI("/new/x.php"); err != nil {
		t.Errorf("a pool without admin_ini: %v", err)
	}
	p.adminINIDirs.Store((&plan{process: phpbin.Options{
		AdminINI: []phpbin.Setting{{Name: "a", Value: "b"}}, AdminDirs: []string{"/srv", "/var", "c:"},
	}}).adminINIDirs())
	for path, covered := range map[string]bool{
		"/srv/x.php": runtime.GOOS != "windows", "/var/www/x.php": runtime.GOOS != "windows", `C:\www\x.php`: runtime.GOOS == "windows",
		"/new/x.php": false, "/srv2/x.php": false, "//srv/x.php": false, "/./srv/x.php": false, "/x.php": false,
	} {
		err := p.checkAdminINI(path)
		var status caddyhttp.HandlerError
		if (err == nil) != covered || err != nil && (!errors.As(err, &status) || status.StatusCode != http.StatusInternalServerError) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
