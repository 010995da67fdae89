package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// responseLimit is how long the first page may take before the browser is not opened: to get
// a certificate, and for the application to begin.
const responseLimit = time.Minute

// openBrowser waits until there is a response at a URL, and shows it in the user's browser.
func openBrowser(ctx context.Context, url string) error {
	if err := awaitResponse(ctx, url); err != nil {
		return fmt.Errorf("--open: there is no response from %s: %w", url, err)
	}
	cmd := browser(url)
	var output firstOutput
	cmd.Stdout, cmd.Stderr = &output, &output
	switch err := cmd.Run(); {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("--open: %s is missing%s: open %s in a browser", cmd.Args[0], browserPackage, url)
	case err != nil:
		return fmt.Errorf("--open: %s: %w: open %s in a browser\n%s", cmd.Args[0], err, url, strings.TrimSpace(output.String()))
	}
	return nil
}

// firstOutput keeps the first output of a browser, which may run as long as this program.
type firstOutput struct{ strings.Builder }

const maxOutput = 4096

func (o *firstOutput) Write(p []byte) (int, error) {
	o.Builder.Write(p[:min(len(p), maxOutput-o.Len())])
	return len(p), nil
}

// awaitResponse sends requests until there is a response, with any status.
func awaitResponse(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, responseLimit, fmt.Errorf("it took longer than %v", responseLimit))
	defer cancel()
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			// This program's own server, whose CA the system may not know yet.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing is sent, and what comes is dropped
		},
	}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
