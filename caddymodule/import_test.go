package caddymodule

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
)

// fpmFiles are php-fpm's files of a golden file, by path.
type fpmFiles map[string]string

// parseFPMFiles reads files that each begin with a line "-- path --". The first one is
// that with which php-fpm starts.
func parseFPMFiles(text string) (files fpmFiles, first string) {
	files = fpmFiles{}
	name := ""
	for line := range strings.Lines(text) {
		if header, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSuffix(header, " --\n")
			if first == "" {
				first = name
			}
			continue
		}
		files[name] += line
	}
	return files, first
}

func (f fpmFiles) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range f {
		if ok, err := path.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (f fpmFiles) ReadFile(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

// convertFPM converts the files of a golden file.
func convertFPM(t *testing.T, text string, site []byte) *fpmconf.Result {
	t.Helper()
	files, first := parseFPMFiles(text)
	config, err := fpmconf.Read(files, []string{first})
	if err != nil {
		t.Fatal(err)
	}
	result, err := fpmconf.Convert(config, site)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Each golden file has php-fpm's files, the Caddyfile, and the lines that it lacks.
func TestImport_GoldenFiles(t *testing.T) {
	for name, value := range map[string]string{"PHP_USER": "www-data", "PHP_WORKERS": "7", "PHP_MEMORY": "64M", "PHP_TZ": "UTC", "HOSTNAME": "h"} {
		t.Setenv(name, value)
	}
	paths, err := filepath.Glob("testdata/import/*.txt")
	if err != nil || len(paths) < 12 {
		t.Fatalf("got %d golden files, %v", len(paths), err)
	}
	for _, file := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(text), divider)
			result := convertFPM(t, input, nil)
			got := result.Caddyfile + divider + strings.Join(append(slices.Clone(result.Lost), ""), "\n")
			if *update {
				if err := os.WriteFile(file, []byte(input+divider+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			checkImported(t, result.Caddyfile)
			if os.Getuid() == 0 || !strings.Contains(result.Caddyfile, "\tuser ") {
				if got := validate(t, withInstalledPHP(t, result.Caddyfile)+usePools(result.Caddyfile)); got != "" {
					t.Errorf("validate: %s", got)
				}
			}
		})
	}
}

// withInstalledPHP replaces PHP 8.2 by the php-cgi of this machine, which has no ini
// files of php-fpm.
func withInstalledPHP(t *testing.T, caddyfile string) string {
	t.Helper()
	v := phpOfMachine(t).Version
	version := fmt.Sprintf("%d.%d", v.Major, v.Minor)
	return strings.NewReplacer("/etc/php/8.2/fpm", "/etc/php/"+version+"/cgi", "binary 8.2", "binary "+version).Replace(caddyfile)
}

// usePools returns sites that use each pool, because only pools in use are validated.
func usePools(caddyfile string) string {
	var sites strings.Builder
	for line := range strings.Lines(caddyfile) {
		if pool, ok := strings.CutPrefix(line, "\t\tpool "); ok {
			sites.WriteString("http://localhost/" + strings.Repeat("x", sites.Len()) + "* {\n\troot /tmp\n\tphp_pool {\n\t\tpool " + pool + "\t}\n}\n")
		}
	}
	return strings.ReplaceAll(sites.String(), " {\n\t}", "\n\t}")
}

// checkImported fails unless the Caddyfile is formatted and can be read.
func checkImported(t *testing.T, text string) {
	t.Helper()
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		t.Errorf("caddy fmt makes\n%s\nof\n%s", formatted, text)
	}
	if _, err := caddyfile.Parse("Caddyfile", []byte(text)); err != nil {
		t.Errorf("%v:\n%s", err, text)
	}
}
