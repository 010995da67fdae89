package command

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

const (
	fullOPcache = `{"available":true,"scope":"worker","full":true,"hit_rate":0.99999,"scripts":900,"keys":1500,"max_keys":16229,
		"memory":{"total_bytes":134217728,"used_bytes":130023424,"wasted_bytes":4194304},"restarts":{"oom":2,"hash":1,"manual":9},
		"configuration":{"memory_consumption_bytes":134217728,"max_accelerated_files":10000}}`
	noOPcache = `{"available":false,"reason":"opcache.enable is off"}`
)

func withOPcaches(t *testing.T) *fakeAdmin {
	t.Helper()
	a := twoPools(t)
	a.responses["GET /php_pool/pools/a%2Fb/opcache"] = fullOPcache
	a.responses["GET /php_pool/pools/quiet/opcache"] = noOPcache
	return a
}

func TestOPcache_Table(t *testing.T) {
	out, err := run(t, "opcache", "--address", withOPcaches(t).address)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, out,
		"POOL   OPCACHE         USED   WASTED     SIZE   HITS  SCRIPTS  KEYS  MAX KEYS  RESTARTS  REMARK",
		"a/b    full         124 MiB  4.0 MiB  128 MiB  99.9%      900  1500     16229         3  of one worker",
		"quiet  unavailable        -        -        -      -        -     -         -         -  opcache.enable is off",
	)
}

func TestStatus_OPcacheFull(t *testing.T) {
	out, err := run(t, "status", "--address", withOPcaches(t).address)
	if err != nil {
		t.Fatal(err)
	}
	const want = "a/b: OPcache is full, and scripts that are not in it are compiled for each request: 128 MiB of 128 MiB are used, " +
		"by 900 scripts\n  → write `ini opcache.memory_consumption 256` (now 128)\n"
	if !strings.Contains(out, want) || strings.Contains(out, "quiet: OPcache") {
		t.Errorf("got:\n%s", out)
	}
	for text, remedy := range map[string]string{
		`{"available":true,"keys":22,"max_keys":223,"restarts":{"hash":1},"configuration":{"max_accelerated_files":200}}`:      "write `ini opcache.max_accelerated_files 400` (now 200)",
		`{"available":true,"keys":1,"max_keys":223,"restarts":{"oom":1},"configuration":{"memory_consumption_bytes":8388608}}`: "write `ini opcache.memory_consumption 16` (now 8)",
	} {
		p := poolInfo{opcache: new(opcacheInfo)}
		if err := json.Unmarshal([]byte(text), p.opcache); err != nil {
			t.Fatal(err)
		}
		got := diagnose(&p)
		if len(got) != 1 || got[0] != (doctor.Finding{Level: doctor.Note, Summary: "OPcache was full and restarted 1 time", Remedy: remedy}) {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}

func TestOPcacheReset_NeedsNames(t *testing.T) {
	a := withOPcaches(t)
	a.responses["DELETE /php_pool/pools/quiet/opcache"] = `{"workers_reset":1,"deferred":1}`
	a.responses["DELETE /php_pool/pools/a%2Fb/opcache"] = "409 restrict_api forbids it"
	_, err := run(t, "opcache", "--reset", "--address", a.address)
	wantError(t, err, "name of a pool is missing", "a/b, quiet")
	if got := a.requests("DELETE"); len(got) != 0 {
		t.Errorf("got requests %q, want none", got)
	}
	out, err := run(t, "opcache", "--reset", "a/b", "quiet", "--address", a.address)
	wantError(t, err, "pool a/b: restrict_api forbids it")
	if want := "pool quiet: OPcache is reset as soon as no request uses it; 1 busy worker will be replaced after the current request\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestStatus_LastCrash(t *testing.T) {
	for response, want := range map[string]string{
		`{"time":"T","exit_status":"signal: segmentation fault","request":{"method":"GET","uri":"/x","script":"/srv/x.php"}}`: "; the last at T by signal: segmentation fault, running GET /x (/srv/x.php)",
		`{"time":"T"}`: "; the last at T",
		`null`:         "",
	} {
		p := poolInfo{Exits: map[string]uint64{"crashed": 2}}
		if err := json.Unmarshal([]byte(response), &p.LastCrash); err != nil {
			t.Fatal(err)
		}
		if got := diagnose(&p)[0].Summary; got != "2 workers crashed"+want {
			t.Errorf("got %q", got)
		}
	}
}
