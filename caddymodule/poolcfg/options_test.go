package poolcfg

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/pool"
)

func TestValidate_Errors(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string // part of the message
	}{
		{Options{Manager: "statik"}, "statik"},
		{Options{Manager: "static"}, "workers"},
		{Options{Workers: 3, Manager: "dynamic"}, "manager static"},
		{Options{Workers: 3, MaxWorkers: 4}, "max_workers"},
		{Options{Workers: 3, IdleTimeout: 1}, "idle_timeout"},
		{Options{MinWorkers: new(5), MaxWorkers: 3}, "min_workers 5"},
		{Options{StartWorkers: 5, MaxWorkers: 3}, "start_workers 5"},
		{Options{StartWorkers: 2, MinWorkers: new(3), MaxWorkers: 9}, "start_workers 2"},
		{Options{MinWorkers: new(-1)}, "min_workers -1"},
		{Options{Workers: 1 << 20}, "workers 1048576"},
		{Options{MaxQueue: new(-1)}, "max_queue -1"},
		{Options{MaxPerClient: -2}, "max_per_client -2"},
		{Options{MaxMemory: -2}, "max_memory -2"},
		{Options{StopTimeout: caddy.Duration(-time.Second)}, "stop_timeout -1s"},
		{Options{Spawn: "both"}, "spawn both"},
		{Options{Umask: "999"}, "umask 999"},
		{Options{Nice: new(20)}, "nice 20"},
		{Options{OOMScoreAdj: new(-1001)}, "oom_score_adj -1001"},
		{Options{Quarantine: &QuarantineOptions{Crashes: -1}}, "quarantine -1"},
		{Options{Manager: "ondemand", MinWorkers: new(1)}, "min_workers"},
	} {
		if err := c.o.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want an error with %q", c.o, err, c.want)
		}
	}
}

func TestDefaults_Documented(t *testing.T) {
	var o Options
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	s := o.Settings(16)
	want := pool.Size{
		Manager: pool.Dynamic, MinWorkers: 1, StartWorkers: 2, MaxWorkers: 16, MaxSpare: 4,
		IdleTimeout: time.Minute, MasterIdleTimeout: 10 * time.Minute,
	}
	if s.Size != want {
		t.Errorf("size: got %+v, want %+v", s.Size, want)
	}
	if s.MaxQueue != 1024 || s.StartTimeout != 30*time.Second || s.QueueTimeout != 30*time.Second ||
		s.StopTimeout != 4*time.Second || s.SlowRequest != 5*time.Second || s.HealthInterval != 5*time.Second ||
		s.RequestTimeout != 0 || s.MaxRequests != 0 || s.Crashes != 0 {
		t.Errorf("got %+v", s)
	}
	one := (&Options{}).Settings(1)
	if one.MinWorkers != 1 || one.StartWorkers != 1 || one.MaxWorkers != 1 {
		t.Errorf("with one worker: got %+v", one.Size)
	}
	if off := (&Options{SlowRequest: -1, HealthInterval: -1}).Settings(4); off.SlowRequest != 0 || off.HealthInterval != 0 {
		t.Errorf("off: got %+v", off)
	}
}

func TestDefaults_WorkersMeansStatic(t *testing.T) {
	s := (&Options{Workers: 7}).Settings(16)
	if s.Manager != pool.Static || s.MaxWorkers != 7 {
		t.Errorf("got %+v", s.Size)
	}
}

func TestMerge_PoolOverridesDefaults(t *testing.T) {
	defaults := &Options{
		Workers: 4, RequestTimeout: caddy.Duration(time.Minute), NoNewPrivs: new(true), Nice: new(5),
		INI: map[string]string{"a": "1", "b": "1"}, AdminINI: map[string]string{"a": "1", "b": "1"}, Isolate: new(true),
	}
	o, err := Merge(defaults, &Options{
		Manager: "ondemand", MaxWorkers: 10, RequestTimeout: -1, NoNewPrivs: new(false), Nice: new(0),
		INI: map[string]string{"b": "2"}, AdminINI: map[string]string{"b": "2"}, Isolate: new(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := o.Settings(16)
	if s.Manager != pool.OnDemand || s.MaxWorkers != 10 || s.RequestTimeout != 0 || *o.NoNewPrivs || *o.Nice != 0 {
		t.Errorf("got %+v and %+v", s, o)
	}
	if o.INI["a"] != "1" || o.INI["b"] != "2" {
		t.Errorf("ini: got %v", o.INI)
	}
	if o.AdminINI["a"] != "1" || o.AdminINI["b"] != "2" || o.Isolates() {
		t.Errorf("admin_ini: got %v, isolate: %t", o.AdminINI, o.Isolates())
	}
	if o, err := Merge(defaults, &Options{}); err != nil || o.Workers != 4 {
		t.Errorf("a pool without options: got %+v, %v", o, err)
	}
}
