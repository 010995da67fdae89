//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// metrics parses a response as Prometheus does. The keys are names with the values of
// the labels except the pool: workers{idle}.
func metrics(t *testing.T, res *harness.Response) map[string]float64 {
	t.Helper()
	res.Want(t, http.StatusOK, "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(res.Text))
	if err != nil {
		t.Fatalf("%v in %s", err, res.Text)
	}
	maps.DeleteFunc(all, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, "php_pool_") })
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(all))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	numbers := map[string]float64{}
	for name, f := range all {
		for _, m := range f.GetMetric() {
			key, labels := strings.TrimPrefix(name, "php_pool_"), []string{}
			for _, l := range m.GetLabel() {
				if l.GetName() == "pool" && l.GetValue() != "main" {
					t.Errorf("%s is of pool %s", name, l.GetValue())
				} else if l.GetName() != "pool" {
					labels = append(labels, l.GetValue())
				}
			}
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			if h := m.GetHistogram(); h != nil {
				numbers[key+"_count"], numbers[key+"_sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
				for _, b := range h.GetBucket() {
					numbers[fmt.Sprintf("%s_bucket{%v}", key, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
				continue
			}
			numbers[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return numbers
}

// TestMetrics_Counters sends successful requests, one whose worker dies, a slow one, a
// rejected one, and one whose client disconnects. A reload keeps the counters.
func TestMetrics_Counters(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		site := harness.PoolSite(b, "manager static", "workers 1", "max_queue 0", "slow_request 1s", "quarantine off") +
			"http://127.0.0.1:{$PORT2} {\nmetrics\n}\n"
		s := harness.Start(t, b, site)
		for range 5 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
		s.Do(s.Request("POST", "/load/odd.php?do=kill", nil)).Want(t, http.StatusBadGateway, "")
		s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 })
		h := s.Hold("slow")
		h.Add("")
		s.WaitPool("slow", func(p harness.PoolStatus) bool { return p.Requests.Slow == 1 })
		wantRejected(t, s.Get("/hello.php"), "connection_limit_reached")
		h.Release()
		h.Want(0, 200)
		left := s.Hold("left")
		startAndDisconnect(s, "/load/hold.php?file=left")
		s.WaitPool("draining", func(p harness.PoolStatus) bool { return p.Workers.Draining == 1 })
		left.Release()
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 })

		got := metrics(t, s.Admin("GET", "/metrics", ""))
		for name, want := range map[string]float64{
			"up": 1, "generation": 1,
			"workers{idle}": 1, "workers{busy}": 0, "workers{draining}": 0, "workers_max": 1, "workers_min": 1,
			"requests_total": 8, "requests_failed_total": 1, "requests_rejected_total{queue_full}": 1, "requests_retried_total": 0,
			"requests_rejected_total{client_limit}": 0, "requests_rejected_total{quarantined}": 0,
			"requests_slow_total": 1, "requests_timed_out_total": 0, "requests_client_closed_total": 1,
			"worker_launches_total": 2, "worker_exits_total{crashed}": 1, "worker_exits_total{recycled}": 0,
			"master_exits_total": 0, "restarts_total": 0, "queue_length": 0, "queue_max": 0, "workers_max_reached_total": 0,
			"request_duration_seconds_count": 8, "queue_wait_seconds_count": 8, "time_to_first_byte_seconds_count": 6,
		} {
			if got[name] != want {
				t.Errorf("%s: got %v, want %v", name, got[name], want)
			}
		}
		if sum, fast := got["request_duration_seconds_sum"], got["request_duration_seconds_bucket{1}"]; sum < 1 || fast > 7 {
			t.Errorf("requests took %v s in all, %v of them up to 1 s: want more than 1 s, and 7", sum, fast)
		}
		if memory := got["workers_memory_bytes"]; memory < 1<<16 || memory > 1<<30 {
			t.Errorf("a worker has %v bytes", memory)
		}
		wantAdminSays(t, s, got)
		if age := float64(time.Now().Unix()) - got["start_time_seconds"]; age < 0 || age > 300 {
			t.Errorf("the pool is %v s old", age)
		}

		// The metrics directive has another registry.
		if err := s.Reload(site + "http://127.0.0.1:{$PORT2}/more {\nrespond more\n}\n"); err != nil {
			t.Fatal(err)
		}
		after := metrics(t, harness.Do(t, s.Client, harness.NewRequest(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/metrics", s.Port+1), nil)))
		for _, all := range []map[string]float64{got, after} {
			// These are sampled, perhaps between the two scrapes.
			maps.DeleteFunc(all, func(name string, _ float64) bool {
				return name == "workers_memory_bytes" || strings.HasPrefix(name, "opcache_")
			})
		}
		if !maps.Equal(after, got) {
			t.Errorf("after a reload:\n got %v\nwant %v", after, got)
		}
	})
}

// TestMetrics_OPcache compares the metrics of OPcache with the admin API. They exist
// only where all workers share one OPcache.
func TestMetrics_OPcache(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "ini opcache.enable 1", "ini opcache.file_update_protection 0"))
		for range 5 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
		// The admin API waits for the sample.
		var cache struct {
			Hits, Misses, Scripts, Keys float64
			MaxKeys                     float64 `json:"max_keys"`
			Memory                      struct {
				Used float64 `json:"used_bytes"`
				Free float64 `json:"free_bytes"`
			}
		}
		if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main/opcache", "").Text), &cache); err != nil {
			t.Fatal(err)
		}
		got := metrics(t, s.Admin("GET", "/metrics", ""))
		if _, has := got["opcache_hits_total"]; has != (b.Name == harness.SharedLean.Name) {
			t.Fatalf("got %v", got)
		} else if !has {
			return
		}
		for name, want := range map[string]float64{
			"opcache_hits_total": cache.Hits, "opcache_misses_total": cache.Misses, "opcache_scripts": cache.Scripts,
			"opcache_keys": cache.Keys, "opcache_keys_max": cache.MaxKeys, "opcache_memory_bytes{used}": cache.Memory.Used,
			"opcache_memory_bytes{free}": cache.Memory.Free, "opcache_memory_bytes{wasted}": 0,
			"opcache_full": 0, "opcache_restart_pending": 0, "opcache_restarts_total{manual}": 0,
		} {
			if got[name] != want {
				t.Errorf("%s: got %v, want %v", name, got[name], want)
			}
		}
		if cache.Hits != 4 || cache.Misses != 1 {
			t.Errorf("got %v hits and %v misses after 5 requests for one script", cache.Hits, cache.Misses)
		}
		if age := float64(time.Now().Unix()) - got["opcache_sampled_timestamp_seconds"]; age < -1 || age > 30 {
			t.Errorf("the sample is %v s old", age)
		}
	})
}

// wantAdminSays compares metrics with the admin API.
func wantAdminSays(t *testing.T, s *harness.Server, metrics map[string]float64) {
	t.Helper()
	var p struct {
		PHP        struct{ Version string }
		Spawn      string
		Generation float64
		Workers    map[string]float64
		Queue      map[string]float64
		Requests   struct {
			Total, Failed, Retried, Slow float64
			TimedOut                     float64 `json:"timed_out"`
			Rejections                   map[string]float64
		}
		Exits       map[string]float64
		Restarts    float64
		MasterExits float64 `json:"master_exits"`
	}
	if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &p); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"generation": p.Generation, "restarts_total": p.Restarts, "master_exits_total": p.MasterExits,
		"workers_max": p.Workers["max"], "workers_preforked": p.Workers["preforked"],
		"queue_length": p.Queue["length"], "queue_max": p.Queue["max"], "queue_wait_seconds_sum": p.Queue["wait_seconds_total"],
		"requests_total": p.Requests.Total, "requests_failed_total": p.Requests.Failed,
		"requests_retried_total": p.Requests.Retried, "requests_slow_total": p.Requests.Slow,
		"requests_timed_out_total":                                p.Requests.TimedOut,
		fmt.Sprintf("info{static,%s,%s}", p.Spawn, p.PHP.Version): 1,
	}
	for _, state := range []string{"idle", "busy", "draining", "starting", "stopping"} {
		want["workers{"+state+"}"] = p.Workers[state]
	}
	for reason, n := range p.Requests.Rejections {
		want["requests_rejected_total{"+reason+"}"] = n
	}
	for reason, n := range p.Exits {
		want["worker_exits_total{"+reason+"}"] = n
	}
	for name, n := range want {
		if got, is := metrics[name]; !is || got != n {
			t.Errorf("%s: got %v, the admin API says %v", name, got, n)
		}
	}
}

// TestDocs_SeriesPerPool counts the time series of a pool, of which docs/scaling.md has the
// number. They are some more or less with another PHP.
func TestDocs_SeriesPerPool(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1", "ini opcache.enable 1"))
	s.Get("/hello.php").Want(t, 200, "hello\n")
	var n int
	harness.Eventually(t, func() error { // OPcache is sampled in the background
		scrape := s.Admin("GET", "/metrics", "").Text
		if !strings.Contains(scrape, "\nphp_pool_opcache_full{") {
			return errors.New("OPcache has not been sampled")
		}
		n = len(regexp.MustCompile(`(?m)^php_pool_\w+\{[^}]*pool="main"`).FindAllString(scrape, -1))
		return nil
	})
	m := regexp.MustCompile(`machines × pools × about (\d+)`).FindStringSubmatch(harness.ReadFile(t, "../docs/scaling.md"))
	if m == nil {
		t.Fatal("docs/scaling.md has no number of series")
	}
	if documented, _ := strconv.Atoi(m[1]); documented < n*9/10 || documented > n*11/10 {
		t.Errorf("docs/scaling.md has %d series, want %d", documented, n)
	}
}
