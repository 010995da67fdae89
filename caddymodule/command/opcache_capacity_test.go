package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// healthyOPcache has caches with enough free memory.
const healthyOPcache = `{"available":true,"keys":100,"max_keys":16229,
	"memory":{"total_bytes":134217728,"used_bytes":9000000},
	"interned_strings":{"total_bytes":8388608,"used_bytes":2000000,"free_bytes":6388608},
	"jit":{"on":true,"buffer_size_bytes":67108848,"buffer_free_bytes":60000000},
	"configuration":{"memory_consumption_bytes":134217728,"interned_strings_buffer_bytes":8388608,"max_accelerated_files":10000,"jit_buffer_size_bytes":67108864},
	"realpath_cache":{"used_bytes":3000,"max_bytes":4194304}}`

// opcacheWarnings returns the problems of a pool with that OPcache, one per line.
func opcacheWarnings(t *testing.T, opcache string) string {
	t.Helper()
	p := poolInfo{opcache: new(opcacheInfo)}
	if err := json.Unmarshal([]byte(opcache), p.opcache); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range diagnose(&p) {
		fmt.Fprintf(&b, "%v: %s → %s\n", f.Level, f.Summary, f.Remedy)
	}
	return b.String()
}

func TestStatus_CachesAlmostFull(t *testing.T) {
	if got := opcacheWarnings(t, healthyOPcache); got != "" {
		t.Errorf("healthy OPcache: got %s, want no findings", got)
	}
	for _, c := range []struct{ from, to, want string }{
		{
			`"used_bytes":9000000`, `"used_bytes":100000000,"wasted_bytes":30000000`,
			"OPcache is almost full: 4.0 MiB of 128 MiB are free → write `ini opcache.memory_consumption 256` (now 128)\n",
		},
		{
			`"keys":100,`, `"keys":16000,`,
			"OPcache is almost full: 229 of 16229 keys are free → write `ini opcache.max_accelerated_files 20000` (now 10000)\n",
		},
		{
			`"used_bytes":2000000,"free_bytes":6388608`, `"used_bytes":8388000,"free_bytes":608`,
			"OPcache's string buffer is almost full (8.0 MiB of 8.0 MiB): strings that do not fit are stored again for each script" +
				" → write `ini opcache.interned_strings_buffer 16` (now 8)\n",
		},
		{
			`"buffer_free_bytes":60000000`, `"buffer_free_bytes":1000`,
			"the JIT buffer is almost full: 1000 B of 64 MiB are free → write `ini opcache.jit_buffer_size 134217728` (now 67108864)\n",
		},
		{
			`"used_bytes":3000`, `"used_bytes":4194200`,
			"the realpath cache of a worker is almost full (4.0 MiB of 4.0 MiB): other paths are resolved at each use" +
				" → write `ini realpath_cache_size 8388608` (now 4194304)\n",
		},
	} {
		changed := strings.Replace(healthyOPcache, c.from, c.to, 1)
		if changed == healthyOPcache {
			t.Fatalf("the sample does not contain %s", c.from)
		}
		if got := opcacheWarnings(t, changed); got != "note: "+c.want {
			t.Errorf("%s: got %s, want %s", c.to, got, c.want)
		}
	}
	// Caches that are switched off or not reported need no memory.
	for _, absent := range []string{`{"available":true}`, strings.Replace(healthyOPcache, `"on":true,"buffer_size_bytes":67108848,"buffer_free_bytes":60000000`, `"on":false,"buffer_size_bytes":67108848,"buffer_free_bytes":0`, 1)} {
		if got := opcacheWarnings(t, absent); got != "" {
			t.Errorf("%s: got %s, want no findings", absent, got)
		}
	}
}

func TestStatus_RevalidateFreqZero(t *testing.T) {
	for frequency, want := range map[string]bool{"0": true, "2": false} {
		p := poolInfo{opcache: new(opcacheInfo)}
		sample := `{"available":true,"configuration":{"validate_timestamps":true,"revalidate_freq_seconds":` + frequency + `}}`
		if err := json.Unmarshal([]byte(sample), p.opcache); err != nil {
			t.Fatal(err)
		}
		if got := diagnose(&p); want != (len(got) == 1 && strings.Contains(got[0].Summary, "opcache.revalidate_freq is 0")) {
			t.Errorf("%s: got %+v", frequency, got)
		}
	}
}

func TestStatus_OPcacheOff(t *testing.T) {
	for response, want := range map[string]bool{`{"opcache":false}`: true, `{"opcache":true}`: false, `{}`: false} {
		var p poolInfo
		if err := json.Unmarshal([]byte(response), &p.PHP); err != nil {
			t.Fatal(err)
		}
		if got := diagnose(&p); want != (len(got) == 1 && strings.Contains(got[0].Summary, "OPcache is off")) {
			t.Errorf("%s: got %+v", response, got)
		}
	}
}
