package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The Caddyfile in the example for Kubernetes loads.
func TestDocs_KubernetesCaddyfile(t *testing.T) {
	_, rest, found := strings.Cut(readDoc(t, "../examples/kubernetes/shop.yaml"), "\n  Caddyfile: |\n")
	text, _, ended := strings.Cut(rest, "---\n")
	if !found || !ended {
		t.Fatal("the example has no Caddyfile")
	}
	text = strings.TrimPrefix(strings.ReplaceAll("\n"+text, "\n    ", "\n"), "\n")
	if got := string(caddyfile.Format([]byte(text))); got != text {
		t.Errorf("caddy fmt changes\n%s\nto\n%s", text, got)
	}
	if got := adapt(t, text); strings.HasPrefix(got, "error") {
		t.Errorf("%s%s", text, got)
	}
}

// The Caddyfile of the images loads without any of its variables, and with all of them.
func TestDocs_ContainerCaddyfile(t *testing.T) {
	text := readDoc(t, "../examples/container/Caddyfile")
	if got := string(caddyfile.Format([]byte(text))); got != text {
		t.Errorf("caddy fmt changes\n%s\nto\n%s", text, got)
	}
	if got := adapt(t, text); strings.HasPrefix(got, "error") || !strings.Contains(got, `"root": "public/"`) {
		t.Errorf("without variables: %s", got)
	}
	described := readDoc(t, "../docs/operations.md")
	for name, value := range map[string]string{
		"SERVER_NAME": "example.com", "SERVER_ROOT": "/srv/www", "CADDY_GLOBAL_OPTIONS": "servers {\n\ttrusted_proxies static private_ranges\n}",
		"CADDY_EXTRA_CONFIG": "www.example.com {\n\tredir https://example.com{uri}\n}", "CADDY_SERVER_EXTRA_DIRECTIVES": "header X-Extra yes",
		"PHP_POOL_CONFIG": "worker index.php 4\nmax_workers 20",
	} {
		t.Setenv(name, value)
		if !strings.Contains(text, "{$"+name) || !strings.Contains(described, "| `"+name+"` |") {
			t.Errorf("%s is not in the Caddyfile or not in docs/operations.md", name)
		}
	}
	got := adapt(t, text)
	for _, want := range []string{"trusted_proxies", `"root": "/srv/www"`, "www.example.com", "X-Extra", `"num": 4`, `"max_workers": 20`} {
		if strings.HasPrefix(got, "error") || !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
}
