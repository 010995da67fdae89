package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfine_SecretFilesOfConfig(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "client.key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PHP_POOL_TEST_KEYS", dir)
	text := strings.ReplaceAll(`{
		"http": {"routes": [
			{"transport": {"tls": {"client_certificate_file": "DIR/client.pem", "client_certificate_key_file": "{env.PHP_POOL_TEST_KEYS}/client.key"}}},
			{"match": [{"key": "value", "private_key": "DIR"}]},
			{"set": {"Authorization": ["Bearer {file.DIR/token} {file.DIR/second}"]}}
		]},
		"pki": {"certificate_authorities": {"local": {"storage": {"module": "file_system", "root": "DIR/ca"}}}},
		"files": {"module": "other", "root": "DIR/no"}
	}`, "DIR", filepath.ToSlash(dir))
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	got := secretFilesIn(v)
	for i := range got {
		got[i] = filepath.ToSlash(strings.TrimPrefix(got[i], dir))
		got[i] = strings.TrimPrefix(got[i], filepath.ToSlash(dir))
	}
	slices.Sort(got)
	want := []string{"/ca/acme", "/ca/certificates", "/ca/keys", "/ca/ocsp", "/ca/pki", "/client.key", "/second", "/token"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
