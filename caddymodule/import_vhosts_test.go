package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
	"github.com/mevdschee/caddy-php-pool/caddymodule/vhosts"
)

// Each golden file has php-fpm's configuration and sites of nginx or Apache, the
// Caddyfile, and the lines that it lacks.
func TestImport_Sites(t *testing.T) {
	paths, err := filepath.Glob("testdata/sites/*.txt")
	if err != nil || len(paths) < 11 {
		t.Fatalf("got %d golden files, %v", len(paths), err)
	}
	for _, file := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(text), divider)
			files, first := parseFPMFiles(input)
			pools, err := fpmconf.Read(files, []string{first})
			if err != nil {
				t.Fatal(err)
			}
			sites, err := vhosts.Read(files, vhosts.DefaultFiles)
			if err != nil {
				t.Fatal(err)
			}
			var found *vhosts.Result
			result := fpmconf.ConvertSites(pools, func(find fpmconf.Finder) []string {
				found = sites.Sites(find)
				return found.Lines
			})
			got := result.Caddyfile + divider + strings.Join(append(append(result.Lost, found.Lost...), ""), "\n")
			if *update {
				if err := os.WriteFile(file, []byte(input+divider+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			checkImported(t, result.Caddyfile)
			if os.Getuid() == 0 {
				if got := validate(t, withInstalledPHP(t, result.Caddyfile)); got != "" {
					t.Errorf("validate: %s", got)
				}
			}
		})
	}
}
