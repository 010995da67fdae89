package phppool

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestImports_RegisterModules(t *testing.T) {
	for _, id := range []string{"php_pool", "http.handlers.php_pool", "http.reverse_proxy.transport.php_pool", "admin.api.php_pool"} {
		if _, err := caddy.GetModule(id); err != nil {
			t.Error(err)
		}
	}
}
