package opcache

import "testing"

func setTempDir(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("TMP", dir)
}
