package caddymodule

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// dryRunPools returns the pools of a config, by name; "" is no config.
func dryRunPools(t *testing.T, config string) map[string]doctor.Pool {
	t.Helper()
	var text []byte
	if config != "" {
		text = []byte(config)
	}
	list, err := dryRun(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]doctor.Pool{}
	for _, p := range list {
		byName[p.Name] = p
	}
	return byName
}

// needPHP skips the test if php-cgi is missing and -short is set; without -short it
// fails the test.
func needPHP(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("php-cgi")
	if err != nil && testing.Short() {
		t.Skip("needs php-cgi, which is missing: make test installs it")
	}
	if err != nil {
		t.Fatal("php-cgi is missing: run make deps")
	}
}

// phpOfMachine returns what php-cgi says of itself.
func phpOfMachine(t *testing.T) *phpbin.Binary {
	t.Helper()
	needPHP(t)
	path, err := phpbin.Find("")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := phpbin.Detect(t.Context(), path, phpbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// needWorkerMode skips the test if php-cgi is too old for worker scripts.
func needWorkerMode(t *testing.T) {
	t.Helper()
	if b := phpOfMachine(t); !b.Version.AtLeast(8, 0) {
		t.Skipf("worker scripts need PHP 8.0, this is PHP %s", b.VersionText)
	}
}

func TestDryRun_PoolsOfConfig(t *testing.T) {
	needPHP(t)
	got := dryRunPools(t, `{"apps":{
		"php_pool":{"defaults":{"ini":{"memory_limit":"64M"}},"pools":{
			"shop":{"workers":3,"rlimits":{"core":18446744073709551615},"user":"root","spawn":"single"},
			"idle":{"workers":2}}},
		"http":{"servers":{"s":{"routes":[
			{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"php_pool","pool":"shop"}]}]}]},
			{"handle":[{"handler":"php_pool","pool_options":{"max_workers":5,"stop_timeout":"9s"}}]},
			{"handle":[{"handler":"php_pool"},{"handler":"php_pool_status","pool":"status"}]},
			{"handle":[{"handler":"reverse_proxy","transport":{"protocol":"php_pool","pool":"proxied","pool_options":{"binary":"no-such-php"}}}]},
			{"handle":[{"handler":"php_pool","pool":"alone","root":"/srv/alone","pool_options":{"isolate":true}}]},
			{"handle":[{"handler":"php_pool","pool":"rootless","pool_options":{"isolate":true}}]},
			{"handle":[{"handler":"php_pool","pool":"absent"}]},
			{"handle":[{"handler":"php_pool","pool":"wrong","pool_options":{"max_workers":-7}}]}
		]}}}}}`)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"absent", "alone", "default", "proxied", "rootless", "shop", "wrong"}) {
		t.Errorf("got pools %q, want those that handlers use", names)
	}
	for name, want := range map[string]string{"absent": "there is no pool absent", "proxied": "no-such-php", "rootless": "write root", "wrong": "max_workers -7"} {
		if err := got[name].Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if alone := got["alone"]; alone.Err != nil || !strings.HasPrefix(settingValue(alone.Process.AdminINI, "open_basedir"), "/srv/alone:") {
		t.Errorf("alone: got %+v", alone)
	}
	shop := got["shop"]
	if shop.Err != nil || shop.Workers != 3 || shop.Sizing != "" || shop.Shared || shop.Process.Binary == "" ||
		!strings.Contains(strings.Join(shop.Process.Args(), " "), "memory_limit=64M") || len(shop.Process.Rlimits) != 1 {
		t.Errorf("shop: got %+v", shop)
	}
	if (shop.Caution == nil) != (os.Geteuid() == 0) {
		t.Errorf("as user %d: got caution %v, want one only as root", os.Geteuid(), shop.Caution)
	}
	if p := got["default"]; p.Err != nil || p.Workers != 5 || p.StopTimeout.Seconds() != 9 {
		t.Errorf("got %+v", p)
	}
}

func TestDryRun_UnknownINI(t *testing.T) {
	needPHP(t)
	got := dryRunPools(t, `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[
		{"handler":"php_pool","pool_options":{"ini":{"memory_limit":"64M"},"admin_ini":{"open_basdir":"/srv"}}}]}]}}}}}`)
	want := map[string]string{"open_basdir": "did you mean open_basedir?"}
	if !maps.Equal(got["default"].Unknown, want) {
		t.Errorf("got %v, want %v", got["default"].Unknown, want)
	}
}

func TestDryRun_WithoutConfig(t *testing.T) {
	needPHP(t)
	got := dryRunPools(t, "")
	if p := got[poolcfg.DefaultPool]; len(got) != 1 || p.Err != nil || p.Workers < 2 || !strings.Contains(p.Sizing, "workers") {
		t.Errorf("got %+v", got)
	}
	if got := dryRunPools(t, `{"apps":{"http":{}}}`); len(got) > 0 {
		t.Errorf("a config without php_pool: got %+v", got)
	}
}

// TestDryRun_BrokenPHP checks that a php-cgi that does not run is not an error: doctor
// reports it.
func TestDryRun_BrokenPHP(t *testing.T) {
	path := t.TempDir() + "/php-cgi"
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := dryRunPools(t, `{"apps":{"http":{"handler":"php_pool","pool_options":{"binary":"`+path+`"}}}}`)
	if p := got[poolcfg.DefaultPool]; p.Err != nil || p.Process.Binary != path {
		t.Errorf("got %+v", p)
	}
}

func TestDryRun_InvalidConfig(t *testing.T) {
	for config, want := range map[string]string{
		"{":                                 "reading the config",
		`{"apps":{"php_pool":{"pool":{}}}}`: "the php_pool app",
		`{"apps":{"x":{"handler":"php_pool","pool_options":{"workers":"many"}}}}`: "a php_pool handler",
	} {
		if _, err := dryRun(t.Context(), []byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", config, err, want)
		}
	}
}

func settingValue(list []phpbin.Setting, name string) string {
	for _, s := range list {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}
