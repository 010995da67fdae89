package phpbin_test

import (
	"slices"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestReadPHPInfo(t *testing.T) {
	i, err := phpbin.ReadPHPInfo(testContext(t), php(t), ini("post_max_size", "7M", "display_errors", "0", "opcache.preload", "/no/such"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"post_max_size": "7M", "display_errors": "Off", "user_agent": "", "opcache.preload": "",
	} {
		if got, ok := i.Setting(name); got != want || !ok {
			t.Errorf("%s: got %q, %v, want %q", name, got, ok, want)
		}
	}
	if got := i.Bytes("post_max_size"); got != 7<<20 {
		t.Errorf("post_max_size in bytes: got %d", got)
	}
	if got, ok := i.Setting("no.such.directive"); ok {
		t.Errorf("unknown directive: got %q", got)
	}
	for _, name := range []string{"Core", "standard", "Zend OPcache", "session"} {
		if !slices.Contains(i.Extensions, name) {
			t.Errorf("%s is not in %q", name, i.Extensions)
		}
	}
}

func TestReadPHPInfo_Error(t *testing.T) {
	if i, err := phpbin.ReadPHPInfo(testContext(t), t.TempDir()+"/absent", phpbin.Options{}); err == nil {
		t.Errorf("got %+v, want an error", i)
	}
}
