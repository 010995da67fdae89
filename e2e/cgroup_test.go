//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestMaxWorkersAuto_CgroupLimit starts Caddy with the files of several cgroups in place of
// those that it has: max_workers auto has to use the smallest limit of memory on the way
// up. It does not depend on the version of cgroups that the machine has.
func TestMaxWorkersAuto_CgroupLimit(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounts files over those in /proc, which only root may do")
	}
	const (
		v2 = "31 23 0:27 / $DIR/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 none rw,nsdelegate\n"
		v1 = "36 30 0:32 / $DIR/cgroup/memory rw,nosuid,nodev,noexec,relatime - cgroup none rw,memory\n" +
			"37 30 0:33 / $DIR/cgroup/cpu rw,nosuid,nodev,noexec,relatime - cgroup none rw,cpu,cpuacct\n"
		unlimited = "9223372036854771712" // of version 1, with pages of 4 KiB
	)
	machine := memTotal(t)
	for name, c := range map[string]struct {
		cgroup, mountinfo string
		files             map[string]string
		want              int64
	}{
		"v2": {"0::/app\n", v2, map[string]string{"app/memory.max": "536870912"}, 512 << 20},
		"v2, nested": {"0::/kubepods/pod1/app\n", v2, map[string]string{
			"memory.stat": "", "kubepods/memory.max": "4294967296", "kubepods/pod1/memory.max": "402653184", "kubepods/pod1/app/memory.max": "max",
		}, 384 << 20},
		"v2, in a namespace": {"0::/\n", v2, map[string]string{"memory.max": "268435456"}, 256 << 20},
		"v2, no limit":       {"0::/app\n", v2, map[string]string{"app/memory.max": "max"}, machine},
		"v1": {"5:memory:/app\n4:cpu,cpuacct:/app\n0::/\n", v1, map[string]string{
			"memory/app/memory.limit_in_bytes": "536870912", "memory/app/memory.stat": "cache 0\nhierarchical_memory_limit 536870912\n",
		}, 512 << 20},
		"v1, nested": {"5:memory:/docker/app\n4:cpu,cpuacct:/docker/app\n", v1, map[string]string{
			"memory/docker/app/memory.limit_in_bytes": unlimited, "memory/docker/app/memory.stat": "cache 0\nhierarchical_memory_limit 402653184\n",
		}, 384 << 20},
		"v1, no limit": {"5:memory:/app\n4:cpu,cpuacct:/app\n", v1, map[string]string{
			"memory/app/memory.limit_in_bytes": unlimited, "memory/app/memory.stat": "hierarchical_memory_limit " + unlimited + "\n",
		}, machine},
		"hybrid": {"5:memory:/app\n0::/app\n", v1 + strings.Replace(v2, "/cgroup ", "/cgroup/unified ", 1), map[string]string{
			"memory/app/memory.limit_in_bytes": "268435456", "unified/app/cgroup.procs": "",
		}, 256 << 20},
		"none": {"", "", nil, machine},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := harness.TempDir(t)
			for path, text := range c.files {
				harness.WriteFile(t, filepath.Join(dir, "cgroup", path), text+"\n")
			}
			harness.WriteFile(t, filepath.Join(dir, "own"), c.cgroup)
			harness.WriteFile(t, filepath.Join(dir, "mountinfo"), strings.ReplaceAll(c.mountinfo, "$DIR", dir))
			wrapper := []string{"/usr/bin/unshare", "--mount", "sh", "-c", `mount --bind "$0/own" /proc/$$/cgroup && mount --bind "$0/mountinfo" /proc/$$/mountinfo && exec "$@"`, dir}
			s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "max_workers auto", "ini memory_limit 64M"), harness.Options{Wrapper: wrapper, RunAs: harness.AsRoot})
			var got struct {
				Sizing struct {
					Memory     int64 `json:"memory_bytes"`
					MaxWorkers int   `json:"max_workers"`
					CPUs       int
				}
			}
			if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &got); err != nil {
				t.Fatal(err)
			}
			if got.Sizing.Memory != c.want {
				t.Errorf("got %d bytes, want %d", got.Sizing.Memory, c.want)
			}
			workers := max(2, min(8*got.Sizing.CPUs, int(c.want/100*60/(64<<20))))
			if got.Sizing.MaxWorkers != workers {
				t.Errorf("got %d workers, want %d", got.Sizing.MaxWorkers, workers)
			}
		})
	}
}

// memTotal returns the memory of the machine.
func memTotal(t *testing.T) int64 {
	t.Helper()
	_, rest, _ := strings.Cut(harness.ReadFile(t, "/proc/meminfo"), "MemTotal:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("MemTotal: %w", err))
	}
	return n << 10
}
