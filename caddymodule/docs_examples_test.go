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
