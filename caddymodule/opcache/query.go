package opcache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// helperResponse is the output of the helper script: opcache_get_status() and
// parts of opcache_get_configuration(), in PHP's names and units.
type helperResponse struct {
	// Reason says why there is no status.
	Reason string `json:"reason"`
	// Reset is the result of opcache_reset().
	Reset  bool    `json:"reset"`
	Status *status `json:"status"`

	Directives struct {
		Memory     int64  `json:"opcache.memory_consumption"`
		Strings    int64  `json:"opcache.interned_strings_buffer"` // MB
		Files      int64  `json:"opcache.max_accelerated_files"`
		Validate   bool   `json:"opcache.validate_timestamps"`
		Revalidate int64  `json:"opcache.revalidate_freq"`
		JIT        string `json:"opcache.jit"`
		JITBuffer  int64  `json:"opcache.jit_buffer_size"`
	} `json:"directives"`
	Realpath struct {
		Used int64 `json:"used"`
		Max  int64 `json:"max"`
	} `json:"realpath"`
}

type status struct {
	Full       bool `json:"cache_full"`
	Pending    bool `json:"restart_pending"`
	InProgress bool `json:"restart_in_progress"`
	Memory     struct {
		Used   int64 `json:"used_memory"`
		Free   int64 `json:"free_memory"`
		Wasted int64 `json:"wasted_memory"`
	} `json:"memory_usage"`
	Strings *struct {
		Size   int64 `json:"buffer_size"`
		Used   int64 `json:"used_memory"`
		Free   int64 `json:"free_memory"`
		Number int64 `json:"number_of_strings"`
	} `json:"interned_strings_usage"`
	Statistics struct {
		Scripts     int64 `json:"num_cached_scripts"`
		Keys        int64 `json:"num_cached_keys"`
		MaxKeys     int64 `json:"max_cached_keys"`
		Hits        int64 `json:"hits"`
		Misses      int64 `json:"misses"`
		Start       int64 `json:"start_time"`
		LastRestart int64 `json:"last_restart_time"`
		OOM         int64 `json:"oom_restarts"`
		Hash        int64 `json:"hash_restarts"`
		Manual      int64 `json:"manual_restarts"`
	} `json:"opcache_statistics"`
	JIT *struct {
		Enabled bool  `json:"enabled"`
		On      bool  `json:"on"`
		Size    int64 `json:"buffer_size"`
		Free    int64 `json:"buffer_free"`
	} `json:"jit"`
}

// UnavailableError means that PHP cannot read or reset its OPcache.
type UnavailableError struct{ reason string }

// Error returns the reason.
func (e *UnavailableError) Error() string { return e.reason }

// Traced returns the error for workers that are not queried, because extensions of
// PHP would report the query as a request of the site.
func Traced(extensions []string) error {
	return &UnavailableError{fmt.Sprintf("not queried: %s would report the query as a request of the site", strings.Join(extensions, ", "))}
}

func isUnavailable(err error) bool {
	_, ok := errors.AsType[*UnavailableError](err)
	return ok
}

// notQueried reports whether err means that no worker ran the helper script.
func notQueried(err error) bool {
	return errors.Is(err, pool.ErrBusy) || errors.Is(err, pool.ErrNoWorkers) ||
		errors.Is(err, pool.ErrNoWorker) || errors.Is(err, pool.ErrClosed)
}

// The commands of the helper script.
const (
	callStatus = "status"
	callReset  = "reset"
)

// query runs the helper script in the idle worker with this id, or, if worker is 0,
// in the one that was used last. The error is an *UnavailableError if PHP cannot do
// it, or an error of package pool.
func (c *Cache) query(h *helper, call string, worker uint64) (*helperResponse, pool.QueryInfo, error) {
	path, err := h.acquire()
	if err != nil {
		return nil, pool.QueryInfo{}, &UnavailableError{err.Error()}
	}
	defer h.release()
	run := &scriptRun{script: path}
	r := run.request(call)
	defer r.Free()
	out := new(helperResponse)
	info, err := c.pool.Query(worker, r, func(resp *http.Response) error { return run.read(resp, out) })
	switch {
	case errors.Is(err, errScriptNotOpened):
		err = &UnavailableError{c.notOpenedReason(run)}
	case err == nil && out.Reason != "":
		err = &UnavailableError{out.Reason}
	case err == nil && out.Status == nil:
		err = &UnavailableError{"opcache_get_status() returned nothing"}
	case err != nil && !notQueried(err) && !isUnavailable(err):
		err = fmt.Errorf("the queried worker did not respond: %w", err)
	}
	return out, info, err
}

// scriptRun is a run of the helper script.
type scriptRun struct {
	script string
	stderr limitedBuffer
}

const (
	maxResponse = 64 << 10 // in bytes; the helper's output is much shorter
	maxExcerpt  = 200      // how much of an invalid response an error contains
)

// request returns the request that runs the helper script. No request header can
// have the name PHP_POOL_CALL or PHP_POOL_QUERY, and their values contain a secret.
func (q *scriptRun) request(call string) *fastcgi.Request {
	dir := filepath.Dir(q.script)
	name := "/" + filepath.Base(dir) + "/" + filepath.Base(q.script)
	r := fastcgi.NewRequest()
	for _, p := range [...][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_METHOD", http.MethodGet},
		{"REQUEST_URI", name},
		{"SCRIPT_NAME", name},
		{"SCRIPT_FILENAME", q.script},
		{"DOCUMENT_ROOT", dir}, // PHP reads .user.ini only below it
		{"QUERY_STRING", ""},
		{"REDIRECT_STATUS", "200"},
		{"PHP_POOL_CALL", q.token() + " " + call},
		{"PHP_POOL_QUERY", q.script}, // for worker scripts, which would handle the request
	} {
		r.AddParam(p[0], p[1])
	}
	r.Stderr = &q.stderr
	return r
}

// token returns the secret: the name of the script's directory.
func (q *scriptRun) token() string { return filepath.Base(filepath.Dir(q.script)) }

// errScriptNotOpened means that PHP could not open the helper script.
var errScriptNotOpened = errors.New("php-cgi cannot open the OPcache helper script")

// read decodes what follows the token in the response. Before it there may be the
// output of another script, if PHP is configured to run one first.
func (q *scriptRun) read(resp *http.Response, out *helperResponse) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return err
	}
	if text := string(body); text == phpbin.AccessDenied || text == phpbin.NoInputFile {
		return errScriptNotOpened
	}
	separator := []byte("\n" + q.token() + "\n")
	if at := bytes.LastIndex(body, separator); at >= 0 {
		if err = json.Unmarshal(body[at+len(separator):], out); err == nil {
			return nil
		}
		return &UnavailableError{fmt.Sprintf("invalid response of the OPcache helper script: %v", err)}
	}
	message := q.phpMessage()
	if message == "" {
		message = fmt.Sprintf("status %d, %q", resp.StatusCode, body[:min(len(body), maxExcerpt)])
	}
	return &UnavailableError{"the OPcache helper script did not finish: " + message}
}

// limitedBuffer keeps the first maxResponse bytes that are written to it.
type limitedBuffer struct{ buf bytes.Buffer }

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), maxResponse-b.buf.Len())])
	return len(p), nil
}

// phpMessage returns the first message that PHP wrote to stderr, without the prefix
// and the suffix of a log line.
func (q *scriptRun) phpMessage() string {
	line, _, _ := strings.Cut(strings.TrimSpace(q.stderr.buf.String()), "\n")
	for _, prefix := range []string{"PHP Warning:  ", "PHP Fatal error:  ", "PHP Request Startup: "} {
		line = strings.TrimPrefix(line, prefix)
	}
	return strings.TrimSuffix(line, " in Unknown on line 0")
}

// notOpenedReason says why PHP could not open the script, with PHP's message if
// there is one. There is not if PHP has an error_log.
func (c *Cache) notOpenedReason(q *scriptRun) string {
	reason := q.phpMessage()
	if reason == "" {
		if unreadable := c.checkReadable(q.script); unreadable != nil {
			return fmt.Sprintf("%v: %v", errScriptNotOpened, unreadable)
		}
		reason = "most likely open_basedir forbids it (see PHP's error_log)"
	}
	return fmt.Sprintf("%v: %s: allow %s in open_basedir", errScriptNotOpened, reason, os.TempDir())
}
