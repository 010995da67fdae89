package opcache

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// FuzzHelperResponse decodes arbitrary responses and messages of a worker.
func FuzzHelperResponse(f *testing.F) {
	f.Add("\ntoken\n{\"status\":{\"memory_usage\":{\"used_memory\":1}}}", "")
	f.Add("\ntoken\n{\"reason\":\"opcache.enable is off\"}", "PHP Warning:  x in Unknown on line 0")
	f.Add("\ntoken\n{\"status\":{\"opcache_statistics\":{\"hits\":-1,\"misses\":1,\"start_time\":9223372036854775807}},\"directives\":{\"opcache.interned_strings_buffer\":9223372036854775807}}", "")
	f.Add("Access denied.\n", "")
	f.Fuzz(func(t *testing.T, body, stderr string) {
		run := &scriptRun{script: "/tmp/token/status.php"}
		io.WriteString(&run.stderr, stderr)
		resp := new(helperResponse)
		err := run.read(&http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}, resp)
		if err != nil {
			if !isUnavailable(err) && !errors.Is(err, errScriptNotOpened) {
				t.Errorf("got %v", err)
			}
			return
		}
		if resp.Status == nil {
			return
		}
		if _, err := json.Marshal(newSample(resp, pool.QueryInfo{}, time.Now())); err != nil {
			t.Errorf("%q: the sample cannot be marshaled: %v", body, err)
		}
	})
}
