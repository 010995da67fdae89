package metrics

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// onePool is a collector for a pool that is not in the registry.
type onePool struct {
	collector
	collect func(chan<- prometheus.Metric)
}

func (c onePool) Collect(ch chan<- prometheus.Metric) { c.collect(ch) }

// scrape returns the metrics of a pool by name.
func scrape(t *testing.T, p *live.Pool) map[string]*dto.MetricFamily {
	t.Helper()
	return gather(t, func(ch chan<- prometheus.Metric) { collectPool(p, ch) })
}

// gather collects metrics with a pedantic registry, as Caddy does: it rejects
// metrics that are not described, and duplicates.
func gather(t *testing.T, collect func(chan<- prometheus.Metric)) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(onePool{collect: collect}); err != nil {
		t.Fatal(err)
	}
	list, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dto.MetricFamily{}
	for _, f := range list {
		all[f.GetName()] = f
	}
	return all
}

// spooledLen is the length of a body that is spooled to a file.
const spooledLen = 5 << 20

// value returns the value of the series whose labels, except pool, have these
// values.
func value(t *testing.T, all map[string]*dto.MetricFamily, name string, label ...string) float64 {
	t.Helper()
	for _, m := range all[name].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			if l.GetName() != "pool" {
				labels = append(labels, l.GetValue())
			} else if l.GetValue() != "test" {
				t.Errorf("%s: got pool %q, want test", name, l.GetValue())
			}
		}
		if slices.Equal(labels, label) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	t.Errorf("%s with labels %q not found", name, label)
	return -1
}

// newFullPool returns a pool that has every metric.
func newFullPool(t *testing.T) *live.Pool {
	t.Helper()
	p := livetest.NewPool(t, 2, livetest.Serve(opcacheStatus), planOf(poolcfg.SpawnShared))
	<-p.OPcache.Refresh()
	return p
}

// planOf returns a plan as far as metrics need it.
func planOf(spawn string) *poolcfg.Plan {
	return &poolcfg.Plan{Binary: &phpbin.Binary{VersionText: "8.2.36"}, Spawn: spawn}
}

// opcacheStatus responds as the helper script that queries OPcache.
func opcacheStatus(r *fastcgitest.Request) fastcgitest.Response {
	token, _, _ := strings.Cut(r.Params["PHP_POOL_CALL"], " ")
	return fastcgitest.OK("\n" + token + "\n" + `{"status": {
		"cache_full": true,
		"memory_usage": {"used_memory": 11, "free_memory": 12, "wasted_memory": 13},
		"interned_strings_usage": {"used_memory": 23, "free_memory": 24},
		"opcache_statistics": {
			"num_cached_scripts": 14, "num_cached_keys": 15, "max_cached_keys": 16, "hits": 17, "misses": 18,
			"oom_restarts": 19, "hash_restarts": 20, "manual_restarts": 21
		},
		"jit": {"buffer_size": 30, "buffer_free": 22}
	}}`)
}

func TestMetrics_DescribedAndCollected(t *testing.T) {
	all := scrape(t, newFullPool(t))
	for _, f := range metrics {
		if all[f.name] == nil {
			t.Errorf("%s is described but not collected", f.name)
		}
		delete(all, f.name)
	}
	for name := range all {
		t.Errorf("%s is not in metrics", name)
	}
}

func TestMetrics_Documented(t *testing.T) {
	text, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range metrics {
		if !regexp.MustCompile("`" + f.name + "[`{]").Match(text) {
			t.Errorf("docs/monitoring.md lacks %s", f.name)
		}
	}
	for _, name := range regexp.MustCompile("`(php_pool_\\w+)[`{]").FindAllSubmatch(text, -1) {
		directive := slices.Contains([]string{"php_pool_status", "php_pool_ping"}, string(name[1]))
		if !directive && !slices.ContainsFunc(metrics, func(f metric) bool { return f.name == string(name[1]) }) {
			t.Errorf("docs/monitoring.md has %s, which is not a metric", name[1])
		}
	}
}

func TestMetrics_NamingConventions(t *testing.T) {
	all := slices.Collect(maps.Values(scrape(t, newFullPool(t))))
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, f := range all {
		if !strings.HasPrefix(f.GetName(), "php_pool_") || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: want prefix php_pool_ and a help text that ends in a period, got %q", f.GetName(), f.GetHelp())
		}
	}
}

// All values differ, so that a metric with the wrong value fails.
func TestMetrics_Values(t *testing.T) {
	p := newFullPool(t)
	p.ClientsClosed.Store(40)
	body, err := p.Spool.Read(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, spooledLen))), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Free()
	times := pool.Times{
		Request:   pool.Histogram{Counts: [len(pool.Buckets) + 1]uint64{1, 2, 3, 4, 15: 5}, Sum: 50 * time.Second},
		FirstByte: pool.Histogram{Counts: [len(pool.Buckets) + 1]uint64{6, 7}, Sum: 51 * time.Second},
		Wait:      pool.Histogram{Counts: [len(pool.Buckets) + 1]uint64{8: 9}, Sum: 52 * time.Second},
	}
	sample := p.OPcache.Shared()
	all := gather(t, func(ch chan<- prometheus.Metric) {
		s := &poolSample{pool: p, plan: planOf(poolcfg.SpawnShared), ready: true, opcache: sample, ch: ch, stats: pool.Stats{
			Manager: pool.Dynamic, Generation: 101, Started: time.Unix(1600000000, 5e8),
			Workers: pool.WorkerCounts{
				Idle: 102, Busy: 103, Draining: 104, Starting: 105, Stopping: 106, Min: 107, Max: 108, Preforked: 109,
				MaxReached: 110, Total: 111, MaxBusy: 112,
			},
			Queue: pool.QueueStats{Length: 113, Max: 114, MaxLength: 115},
			Requests: pool.RequestCounts{
				Total: 116, Failed: 117, Retried: 119, Slow: 120, TimedOut: 121,
				Rejections: pool.Rejections{QueueFull: 118, ClientLimit: 126, Quarantined: 127},
			},
			Exits: map[pool.Reason]uint64{pool.Crashed: 122, pool.Closed: 123}, Launches: 124, LaunchTime: 1500 * time.Millisecond, MasterExits: 125, Restarts: 128,
			Times: times, Quarantined: map[string]time.Time{"a": {}, "b": {}, "c": {}},
		}}
		s.collect()
	})
	for _, c := range []struct {
		name  string
		label string
		want  float64
	}{
		{"up", "", 1},
		{"generation", "", 101},
		{"start_time_seconds", "", 1600000000.5},
		{"workers", "idle", 102},
		{"workers", "busy", 103},
		{"workers", "draining", 104},
		{"workers", "starting", 105},
		{"workers", "stopping", 106},
		{"workers_min", "", 107},
		{"workers_max", "", 108},
		{"workers_preforked", "", 109},
		{"workers_max_reached_total", "", 110},
		{"workers_memory_bytes", "", 2 << 20},
		{"worker_launches_total", "", 124},
		{"worker_launch_seconds_total", "", 1.5},
		{"worker_exits_total", "crashed", 122},
		{"worker_exits_total", "closed", 123},
		{"worker_exits_total", "max_age", 0},
		{"restarts_total", "", 128},
		{"master_exits_total", "", 125},
		{"queue_length", "", 113},
		{"queue_max", "", 114},
		{"queue_wait_seconds", "", 52},
		{"requests_total", "", 116},
		{"requests_failed_total", "", 117},
		{"requests_rejected_total", "queue_full", 118},
		{"requests_rejected_total", "client_limit", 126},
		{"requests_rejected_total", "quarantined", 127},
		{"requests_retried_total", "", 119},
		{"requests_slow_total", "", 120},
		{"requests_timed_out_total", "", 121},
		{"requests_client_closed_total", "", 40},
		{"request_duration_seconds", "", 50},
		{"time_to_first_byte_seconds", "", 51},
		{"spooled_bytes", "", spooledLen},
		{"quarantined_scripts", "", 3},
		{"opcache_sampled_timestamp_seconds", "", float64(sample.At.UnixNano()) / 1e9},
		{"opcache_memory_bytes", "used", 11},
		{"opcache_memory_bytes", "free", 12},
		{"opcache_memory_bytes", "wasted", 13},
		{"opcache_scripts", "", 14},
		{"opcache_full", "", 1},
		{"opcache_restart_pending", "", 0},
		{"opcache_keys", "", 15},
		{"opcache_keys_max", "", 16},
		{"opcache_hits_total", "", 17},
		{"opcache_misses_total", "", 18},
		{"opcache_restarts_total", "out_of_memory", 19},
		{"opcache_restarts_total", "hash", 20},
		{"opcache_restarts_total", "manual", 21},
		{"opcache_jit_buffer_bytes", "used", 8},
		{"opcache_jit_buffer_bytes", "free", 22},
		{"opcache_interned_strings_bytes", "used", 23},
		{"opcache_interned_strings_bytes", "free", 24},
	} {
		label := []string{c.label}
		if c.label == "" {
			label = nil
		}
		if got := value(t, all, "php_pool_"+c.name, label...); got != c.want {
			t.Errorf("%s %s: got %v, want %v", c.name, c.label, got, c.want)
		}
	}
	if got := value(t, all, "php_pool_info", "dynamic", "shared", "8.2.36"); got != 1 {
		t.Errorf("php_pool_info: got %v, want 1", got)
	}
	if got := len(all["php_pool_worker_exits_total"].GetMetric()); got != len(pool.Reasons()) {
		t.Errorf("got exits for %d reasons, want %d", got, len(pool.Reasons()))
	}
	wantHistogram(t, all["php_pool_request_duration_seconds"], &times.Request, 15)
	wantHistogram(t, all["php_pool_time_to_first_byte_seconds"], &times.FirstByte, 13)
	wantHistogram(t, all["php_pool_queue_wait_seconds"], &times.Wait, 9)
}

func wantHistogram(t *testing.T, f *dto.MetricFamily, want *pool.Histogram, n uint64) {
	t.Helper()
	h := f.GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != n || want.Count() != n || len(h.GetBucket()) != len(pool.Buckets) {
		t.Errorf("%s: got %d in %d buckets, want %d in %d", f.GetName(), h.GetSampleCount(), len(h.GetBucket()), n, len(pool.Buckets))
		return
	}
	var count uint64
	for i, b := range h.GetBucket() {
		count += want.Counts[i]
		if b.GetUpperBound() != pool.Buckets[i].Seconds() || b.GetCumulativeCount() != count {
			t.Errorf("%s: got %d of at most %v s, want %d of at most %v", f.GetName(), b.GetCumulativeCount(), b.GetUpperBound(), count, pool.Buckets[i])
		}
	}
}

func TestMetrics_OPcacheAbsentWithoutSample(t *testing.T) {
	unknown := func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("no") }
	unsampled := livetest.NewPool(t, 2, livetest.Serve(unknown), planOf(poolcfg.SpawnShared))
	perWorker := livetest.NewPool(t, 2, livetest.Serve(opcacheStatus), planOf(poolcfg.SpawnSingle))
	<-perWorker.OPcache.Refresh()
	for name, p := range map[string]*live.Pool{"no sample": unsampled, "one OPcache per worker": perWorker} {
		if p == perWorker && opcache.SinglesShare {
			continue
		}
		for metric := range scrape(t, p) {
			if strings.Contains(metric, "opcache") {
				t.Errorf("%s: got %s", name, metric)
			}
		}
	}
}

func TestMetrics_UpOfClosedPool(t *testing.T) {
	p := newFullPool(t)
	if err := p.Pool.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := value(t, scrape(t, p), "php_pool_up"); got != 0 {
		t.Errorf("php_pool_up: got %v, want 0", got)
	}
}

func TestMetrics_RegisteredTwice(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for range 2 {
		if err := Register(registry); err != nil {
			t.Error(err)
		}
	}
	if err := Register(nil); err != nil {
		t.Error(err)
	}
	if registry.Unregister(collector{}); registry.Unregister(collector{}) {
		t.Error("the collector is still registered: it was added twice")
	}
}

// BenchmarkScrape measures a scrape of one pool.
func BenchmarkScrape(b *testing.B) {
	p := livetest.NewPool(b, 8, livetest.Serve(nil), planOf(poolcfg.SpawnShared))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(onePool{collect: func(ch chan<- prometheus.Metric) { collectPool(p, ch) }})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMetrics_ScrapesDuringRequests(t *testing.T) {
	p := livetest.NewPool(t, 2, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }), nil)
	var done atomic.Bool
	var scrapes sync.WaitGroup
	for range 4 {
		scrapes.Go(func() {
			var last float64
			for ended := false; !ended; {
				ended = done.Load()
				metrics := scrape(t, p)
				n := value(t, metrics, "php_pool_requests_total")
				if times := metrics["php_pool_request_duration_seconds"].GetMetric()[0].GetHistogram(); n < last || times.GetSampleCount() != uint64(n) {
					t.Errorf("got %v requests after %v, and %d durations", n, last, times.GetSampleCount())
				}
				last = n
			}
			if last != 400 {
				t.Errorf("last scrape: got %v requests, want 400", last)
			}
		})
	}
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for range 100 {
				r := fastcgi.NewRequest()
				resp, err := p.Pool.Do(t.Context(), &pool.Request{FastCGI: r})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := io.Copy(io.Discard, resp.HTTP.Body); err != nil {
					t.Error(err)
				}
				resp.Close()
				r.Free()
			}
		})
	}
	requests.Wait()
	done.Store(true)
	scrapes.Wait()
}
