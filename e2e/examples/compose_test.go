package examples

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose reads an example as Docker Compose does. A field that its schema does not have
// is an error.
func compose(t *testing.T, name string, env types.Mapping) *types.Project {
	t.Helper()
	text := file(t, name)
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: t.TempDir(), Environment: env, ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}},
	}, func(o *loader.Options) { o.SetProjectName("example", true) })
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return project
}

func TestCompose_Container(t *testing.T) {
	caddyfile, image := file(t, "container/Caddyfile"), file(t, "container/Containerfile")
	app := compose(t, "container/compose.yaml", types.Mapping{"PHP_POOL_CONFIG": "worker index.php 4"}).Services["app"]
	for _, name := range []string{"SERVER_NAME", "PHP_POOL_CONFIG"} {
		if _, ok := app.Environment[name]; !ok || !strings.Contains(caddyfile, "{$"+name) {
			t.Errorf("%s: is in the example: %t; the Caddyfile has to use it:\n%s", name, ok, caddyfile)
		}
	}
	if got := app.Environment["PHP_POOL_CONFIG"]; got == nil || *got != "worker index.php 4" {
		t.Errorf("worker mode: got %v", got)
	}
	if port := *app.Environment["SERVER_NAME"]; fmt.Sprintf(":%d", app.Ports[0].Target) != port {
		t.Errorf("port %d is published, but Caddy listens on %s", app.Ports[0].Target, port)
	}
	// All that a container writes with a root that is read-only. e2e/images tests that this suffices.
	var written []string
	for _, volume := range app.Volumes {
		written = append(written, volume.Target)
	}
	for _, mount := range app.Tmpfs {
		dir, _, _ := strings.Cut(mount, ":")
		written = append(written, dir)
	}
	slices.Sort(written)
	if want := []string{"/app", "/config", "/data", "/tmp"}; !app.ReadOnly || !slices.Equal(written, want) {
		t.Errorf("read-only is %t, and %q can be written, want %q", app.ReadOnly, written, want)
	}
	for _, name := range []string{"XDG_DATA_HOME=/data", "XDG_CONFIG_HOME=/config", "WORKDIR /app"} {
		if !strings.Contains(image, name) {
			t.Errorf("the Containerfile lacks %s", name)
		}
	}
	// Docker's own, as the example does not set another.
	if limit := 10 * time.Second; app.StopGracePeriod != nil || duration(t, caddyfile, `^\s*stop_timeout (\S+)$`) >= limit {
		t.Errorf("Caddy needs more than %v to stop", limit)
	}
}

// The two images differ in where PHP comes from, and not in how they are used.
func TestContainerfiles_SameInterface(t *testing.T) {
	used := func(name string) []string {
		text := strings.ReplaceAll(file(t, name), "\\\n", "")
		return regexp.MustCompile(`(?m)^(?:ENV|WORKDIR|EXPOSE|USER|STOPSIGNAL|HEALTHCHECK|CMD) .*$`).FindAllString(text, -1)
	}
	debian, official := used("container/Containerfile"), used("container/Containerfile.php")
	if len(debian) != 7 || !slices.Equal(debian, official) {
		t.Errorf("got\n%s\nand\n%s", strings.Join(debian, "\n"), strings.Join(official, "\n"))
	}
}

// What the examples leave to the image has to be there.
func TestCompose_Machines(t *testing.T) {
	project := compose(t, "compose.yaml", nil)
	node, image := project.Services["node"], file(t, "container/Containerfile")
	if len(project.Services) != 3 || node.Name == "" {
		t.Errorf("got services %q", project.ServiceNames())
	}
	for _, name := range []string{"HEALTHCHECK", "STOPSIGNAL SIGTERM"} {
		if !strings.Contains(image, "\n"+name) {
			t.Errorf("the Containerfile lacks %s", name)
		}
	}
	for _, volume := range node.Volumes {
		if volume.Type == types.VolumeTypeBind && volume.Target != "/etc/caddy/Caddyfile" {
			t.Errorf("%s is not where the image has its Caddyfile", volume.Target)
		}
	}
}
