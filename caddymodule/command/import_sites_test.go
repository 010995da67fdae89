package command

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// A site of nginx is added; what protects it is on standard error, and the exit code is 1.
func TestImport_SitesThatAreProtected(t *testing.T) {
	fpm := file(t, "www.conf", "[www]\nlisten = 9000\npm = static\npm.max_children = 2\n")
	site := file(t, "site", "server {\nserver_name a.example;\nroot /srv;\nlocation ~ \\.php$ { fastcgi_pass 127.0.0.1:9000; }\ndeny 10.0.0.1;\n}\n")
	out, err := run(t, "import", "--sites="+site, fpm)
	lost := site + ":5: deny 10.0.0.1: NOT IMPORTED: write respond 403"
	if !errors.Is(err, errReported) || strings.Count(out, lost) != 2 || !strings.Contains(out, "\nhttp://a.example {\n") {
		t.Errorf("got %v and %s", err, out)
	}
	for want, args := range map[string][]string{
		"no file matches /nowhere/*": {"--sites=/nowhere/*"},
		"cannot be used together":    {"--sites", "--caddyfile", fpm},
		"is not closed":              {"--sites=" + file(t, "broken", "server {")},
	} {
		_, err := run(t, append(append([]string{"import"}, args...), fpm)...)
		wantError(t, err, want)
	}
	// Two patterns, one of which has the site.
	out, err = run(t, "import", "--sites=/nowhere/*,"+filepath.Join(filepath.Dir(site), "*"), fpm)
	if !errors.Is(err, errReported) || !strings.Contains(out, "\nhttp://a.example {\n") {
		t.Errorf("got %v and %s", err, out)
	}
}
