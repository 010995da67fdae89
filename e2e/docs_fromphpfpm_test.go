//go:build linux

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// fromPHPFPM is the page with the steps from php-fpm.
const fromPHPFPM = "../docs/from-php-fpm.md"

var fenced = regexp.MustCompile("(?ms)^ *```(\\w+)\n(.*?)^ *```$")

// TestDocs_FromPHPFPM runs the commands of each section on a machine with two pools, a
// site of nginx and a Caddyfile. Only what changes services is left out.
func TestDocs_FromPHPFPM(t *testing.T) {
	t.Parallel()
	sections := strings.Split("\n"+harness.ReadFile(t, fromPHPFPM), "\n## ")
	ran := 0
	for _, section := range sections {
		title, _, _ := strings.Cut(strings.TrimLeft(section, "#\n "), "\n")
		var script strings.Builder
		for _, m := range fenced.FindAllStringSubmatch(section, -1) {
			if m[1] == "sh" {
				script.WriteString(m[2])
				ran++
			}
		}
		if script.Len() == 0 {
			continue
		}
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			m := newDebian(t)
			m.run(t, script.String())
			if !strings.HasPrefix(title, "From") { // the first one writes no Caddyfile
				m.run(t, "caddy validate --adapter caddyfile --config /etc/caddy/Caddyfile")
			}
			text := harness.ReadFile(t, filepath.Join(m.dir, "etc/caddy/Caddyfile"))
			if strings.HasPrefix(title, "Leave") || strings.HasPrefix(title, "Behind") {
				for _, want := range []string{"pool www {", "pool shop {", "\tphp_pool {\n\t\tpool shop\n"} {
					if !strings.Contains(text, want) {
						t.Errorf("no %q in\n%s", want, text)
					}
				}
			}
		})
	}
	if ran < 6 {
		t.Errorf("%s has %d commands", fromPHPFPM, ran)
	}
}

// debian is a directory with the files of a server that has php-fpm.
type debian struct{ dir string }

func newDebian(t *testing.T) *debian {
	t.Helper()
	m := &debian{dir: harness.TempDir(t)}
	user := ""
	if os.Getuid() == 0 {
		user = "user = www-data\n"
	}
	pool := func(name string) string {
		return "[" + name + "]\n" + user + "listen = /run/php/" + name + ".sock\npm = static\npm.max_children = 1\n"
	}
	for name, text := range map[string]string{
		"etc/php/8.2/fpm/php-fpm.conf":  "include=" + m.dir + "/etc/php/8.2/fpm/pool.d/*.conf\n",
		"etc/php/8.2/fpm/pool.d/www":    "",
		"etc/php/8.2/fpm/pool.d/a.conf": pool("www"), "etc/php/8.2/fpm/pool.d/b.conf": pool("shop"),
		"etc/nginx/sites-enabled/shop": "server {\nserver_name shop.example.com;\nroot /srv/shop;\nindex index.php;\n" +
			"try_files $uri $uri/ /index.php;\nlocation ~ \\.php$ { fastcgi_pass unix:/run/php/shop.sock; }\n}\n",
		"etc/caddy/Caddyfile": "http://shop.example.com {\n\troot /srv/shop\n\tphp_fastcgi unix//run/php/shop.sock\n\tfile_server\n}\n",
		"usr/bin/systemctl":   "#!/bin/sh\n", "usr/bin/apt": "#!/bin/sh\n",
	} {
		path := filepath.Join(m.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, path, text)
	}
	for _, stub := range []string{"systemctl", "apt"} {
		if err := os.Chmod(filepath.Join(m.dir, "usr/bin", stub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"caddy", "usr/bin/caddy"} {
		if err := os.Symlink(harness.CaddyBinary, filepath.Join(m.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// run runs a script with the paths of this machine.
func (m *debian) run(t *testing.T, script string) {
	t.Helper()
	script = regexp.MustCompile(`(?m)^ *(caddy php-pool (doctor|status)|install|dpkg-divert) .*\n|^ *caddy php-pool (doctor|status)$`).ReplaceAllString(script, "")
	script = strings.NewReplacer("/etc/", m.dir+"/etc/", "--sites ", "--sites='"+m.dir+"/etc/nginx/sites-enabled/*' ").Replace(script)
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=" + m.dir + "/usr/bin:" + os.Getenv("PATH"), "HOME=" + m.dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v of\n%s\n%s", err, script, out)
	}
}

// TestDocs_Container checks the php-fpm.conf of the container, with the command of its
// image, and php-fpm takes it too.
func TestDocs_Container(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(harness.ReadFile(t, fromPHPFPM), "\n## In a container\n")
	blocks := map[string]string{} // the first of each language
	for _, m := range fenced.FindAllStringSubmatch(section, -1) {
		if blocks[m[1]] == "" {
			blocks[m[1]] = m[2]
		}
	}
	_, list, _ := strings.Cut(blocks["dockerfile"], "\nCMD ")
	var command []string
	if err := json.Unmarshal([]byte(list), &command); err != nil || len(command) < 4 || blocks["dosini"] == "" {
		t.Fatalf("%s has no container: %v", fromPHPFPM, err)
	}
	s := harness.Prepare(t, harness.SharedLean)
	file := filepath.Join(s.Dir, "php-fpm.conf")
	harness.WriteFile(t, file, blocks["dosini"])
	fpm := harness.FPMCommand(t, t.TempDir(), harness.Options{Workers: 1}).Args[0]
	own := append([]string{harness.CaddyBinary}, command[1:len(command)-1]...)
	for _, args := range [][]string{append(own, file, "-t"), {fpm, "-t", "-n", "-y", file}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env = s.Command().Env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
