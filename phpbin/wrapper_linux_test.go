package phpbin_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// TestDetect_HangingWrapper runs a php-cgi that is a shell script, which waits for
// another program.
func TestDetect_HangingWrapper(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	path := writeProgram(t, filepath.Join(t.TempDir(), "php-cgi"), `sleep 1000 & echo -n $! >`+file+`; wait`)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if text, _ := os.ReadFile(file); len(text) > 0 {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := phpbin.Detect(ctx, path, phpbin.Options{}); err == nil || !strings.Contains(err.Error(), "did not respond") {
		t.Errorf("got %v", err)
	}
	pid := writtenPID(t, file)
	eventually(t, promptLimit, "killed", func() bool { return len(running([]int{pid})) == 0 })
}

// TestLaunch_HangingWrapper is the same for a shell script that hangs when it is to serve.
func TestLaunch_HangingWrapper(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.RuntimeDir = worldWritableDir(t)
			checkLeaks(t, o.RuntimeDir)
			file := filepath.Join(o.RuntimeDir, "pid")
			o.Binary = writeProgram(t, filepath.Join(t.TempDir(), "php-cgi"), `sleep 1000 & echo -n $! >`+file+`; wait`)
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			go func() {
				for ctx.Err() == nil {
					if text, _ := os.ReadFile(file); len(text) > 0 {
						cancel()
					}
					time.Sleep(time.Millisecond)
				}
			}()
			var err error
			if kind == "shared" {
				_, err = phpbin.StartShared(ctx, o)
			} else {
				var l *phpbin.Single
				if l, err = phpbin.StartSingle(testContext(t), o); err != nil {
					t.Fatal(err)
				}
				_, err = l.Launch(ctx)
				defer func() {
					if err := l.Close(testContext(t)); err != nil {
						t.Error(err)
					}
				}()
			}
			if err == nil {
				t.Error("started")
			}
			pid := writtenPID(t, file)
			eventually(t, promptLimit, "killed", func() bool { return len(running([]int{pid})) == 0 })
		})
	}
}

func TestRlimits_TooFewFiles(t *testing.T) {
	o := options(t)
	for n, ok := range map[uint64]bool{0: false, 15: false, 16: true, phpbin.Unlimited: true} {
		o.Rlimits = []phpbin.Rlimit{{Resource: "nofile", Soft: n, Hard: n}}
		if err := o.Validate(); (err == nil) != ok {
			t.Errorf("nofile %s: got %v", strconv.FormatUint(n, 10), err)
		}
	}
	// The least that is allowed is enough for a script that includes another one.
	o.Rlimits[0].Soft, o.Rlimits[0].Hard = 16, 16
	l := startLauncher(t, "shared", o)
	run(t, mustLaunch(t, l), "state.php", nil)
}
