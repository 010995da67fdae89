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

// helperResponse is what the helper script writes: opcache_get_status() and
// some of opcache_get_configuration(), as PHP has them.
type helperResponse struct {
	// Reason is why there is no status.
	Reason string `json:"reason"`
	// Reset is what opcache_reset() returned.
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

// UnavailableError is why PHP tells nothing of its OPcache.
type UnavailableError struct{ reason string }

func (e *UnavailableError) Error() string { return e.reason }

func isUnavailable(err error) bool {
	_, ok := errors.AsType[*UnavailableError](err)
	return ok
}

// notQueried reports whether no worker was asked at all.
func notQueried(err error) bool {
	return errors.Is(err, pool.ErrBusy) || errors.Is(err, pool.ErrNoWorkers) ||
		errors.Is(err, pool.ErrNoWorker) || errors.Is(err, pool.ErrClosed)
}

// The calls of the helper script.
const (
	callStatus = "status"
	callReset  = "reset"
)

// query has an idle worker run the helper: the one with that id, or for 0
// the one used last. The error is an UnavailableError when PHP answers that it
// cannot, or one of package pool.
func (c *Cache) query(h *helper, call string, worker uint64) (*helperResponse, pool.QueryInfo, error) {
	path, err := h.acquire()
	if err != nil {
		return nil, pool.QueryInfo{}, &UnavailableError{err.Error()}
	}
	defer h.release()
	q := &scriptRun{script: path}
	r := q.request(call)
	defer r.Free()
	a := new(helperResponse)
	info, err := c.pool.Query(worker, r, func(resp *http.Response) error { return q.read(resp, a) })
	switch {
	case errors.Is(err, errScriptNotOpened):
		err = &UnavailableError{c.notOpenedReason(q)}
	case err == nil && a.Reason != "":
		err = &UnavailableError{a.Reason}
	case err == nil && a.Status == nil:
		err = &UnavailableError{"opcache_get_status() tells nothing"}
	case err != nil && !notQueried(err) && !isUnavailable(err):
		err = fmt.Errorf("the worker that was asked did not answer: %w", err)
	}
	return a, info, err
}

// scriptRun is one run of the helper.
type scriptRun struct {
	script string
	stderr limitedBuffer
}

// maxResponse is more than any answer has, maxExcerpt of a wrong one are told.
const (
	maxResponse = 64 << 10
	maxExcerpt  = 200
)

// request is what makes a worker run the helper. PHP_POOL_CALL is a name that
// no header of a client can get, and its value has what no client knows.
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
		{"DOCUMENT_ROOT", dir}, // without it no .user.ini is read
		{"QUERY_STRING", ""},
		{"REDIRECT_STATUS", "200"},
		{"PHP_POOL_CALL", q.token() + " " + call},
	} {
		r.AddParam(p[0], p[1])
	}
	r.Stderr = &q.stderr
	return r
}

func (q *scriptRun) token() string { return filepath.Base(filepath.Dir(q.script)) }

// errScriptNotOpened: PHP could not open the script.
var errScriptNotOpened = errors.New("php-cgi cannot open the script that asks it")

// read takes the answer from behind the token: before it may stand what some
// other script has written, which PHP was told to run first.
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
		return &UnavailableError{fmt.Sprintf("the answer of PHP makes no sense: %v", err)}
	}
	words := q.phpMessage()
	if words == "" {
		words = fmt.Sprintf("status %d, %q", resp.StatusCode, body[:min(len(body), maxExcerpt)])
	}
	return &UnavailableError{"the script that asks PHP did not run to its end: " + words}
}

// limitedBuffer keeps what is written first, and no more than an answer may have.
type limitedBuffer struct{ buf bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), maxResponse-b.buf.Len())])
	return len(p), nil
}

// phpMessage is what PHP wrote on stderr first, without the frame of a log line.
func (q *scriptRun) phpMessage() string {
	line, _, _ := strings.Cut(strings.TrimSpace(q.stderr.buf.String()), "\n")
	for _, prefix := range []string{"PHP Warning:  ", "PHP Fatal error:  ", "PHP Request Startup: "} {
		line = strings.TrimPrefix(line, prefix)
	}
	return strings.TrimSuffix(line, " in Unknown on line 0")
}

// notOpenedReason says why PHP could not open the script, in PHP's words if it has
// sent any: with an error_log of its own it has not.
func (c *Cache) notOpenedReason(q *scriptRun) string {
	reason := q.phpMessage()
	if reason == "" {
		if unreadable := c.checkReadable(q.script); unreadable != nil {
			return fmt.Sprintf("%v: %v", errScriptNotOpened, unreadable)
		}
		reason = "most likely open_basedir forbids it, and PHP's error_log has the words"
	}
	return fmt.Sprintf("%v: %s: allow %s in open_basedir", errScriptNotOpened, reason, os.TempDir())
}
