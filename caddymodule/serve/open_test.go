package serve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// The certificate is that of no CA which the system trusts, and the page is an error: it is a
// response.
func TestServe_AwaitResponse(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	if err := awaitResponse(t.Context(), server.URL); err != nil {
		t.Error(err)
	}
	server.Close()
	reason := errors.New("stopped by the test")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(reason)
	if err := openBrowser(ctx, server.URL); !errors.Is(err, reason) || !strings.Contains(err.Error(), "no response from "+server.URL) {
		t.Errorf("got %v", err)
	}
}

func TestServe_BrowserMissing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Setenv("PATHEXT", ".none")
	}
	t.Setenv("PATH", t.TempDir())
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	err := openBrowser(t.Context(), server.URL)
	if !errors.Is(err, exec.ErrNotFound) && (err == nil || !strings.Contains(err.Error(), "is missing")) || !strings.Contains(err.Error(), server.URL) {
		t.Errorf("got %v", err)
	}
}
