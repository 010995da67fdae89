//go:build linux

package images

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

var imagesFlag = flag.String("images", "", "directory with the images: make test-images sets it")

// image is an image, unpacked.
type image struct {
	rootfs string
	// The directory to mount at /app, and the file to mount over the Caddyfile; "" for those
	// of the image.
	app, caddyfile string
	config         struct {
		User, WorkingDir, StopSignal string
		Env, Entrypoint, Cmd         []string
		ExposedPorts                 map[string]struct{}
		Healthcheck                  struct{ Test []string }
	}
}

// forEach runs a test with each image.
func forEach(t *testing.T, test func(t *testing.T, i *image)) {
	t.Parallel()
	if *imagesFlag == "" {
		t.Fatal("-images is missing: run make test-images")
	}
	for _, name := range []string{"caddy-php-pool", "official"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(*imagesFlag, name)
			i := &image{}
			var err error
			if i.rootfs, err = filepath.EvalSymlinks(filepath.Join(dir, "rootfs")); err != nil {
				t.Fatal(err)
			}
			var inspected struct{ Docker struct{ Config any } }
			inspected.Docker.Config = &i.config
			if err := json.Unmarshal([]byte(harness.ReadFile(t, filepath.Join(dir, "inspect.json"))), &inspected); err != nil {
				t.Fatal(err)
			}
			test(t, i)
		})
	}
}

// container is a running image.
type container struct {
	t     *testing.T
	image *image
	env   []string
	log   string // the file with stdout and stderr
	pid   int    // of process 1, outside
	ended chan error
}

// setup makes the root file system of a container in new namespaces, and runs the command
// in it: $0 is the directory to mount it at, $1 that of the image, $2 the application, $3
// the Caddyfile, both "" for those of the image, $4 user and group. The directories that can
// be written are those of examples/container/compose.yaml. As in Docker, every user can bind
// all ports.
const setup = `set -e
mount --bind "$1" "$0"
mount -o remount,bind,ro "$0"
mount -t proc none "$0/proc"
mount -t tmpfs -o mode=755 tmpfs "$0/dev"
for name in null zero full random urandom; do touch "$0/dev/$name"; mount --bind /dev/$name "$0/dev/$name"; done
ln -s /proc/self/fd "$0/dev/fd"
mkdir "$0/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
mount -t tmpfs -o "uid=${4%:*},gid=${4#*:},mode=755" tmpfs "$0/data"
mount -t tmpfs -o "uid=${4%:*},gid=${4#*:},mode=755" tmpfs "$0/config"
[ -z "$2" ] || mount --bind "$2" "$0/app"
[ -z "$3" ] || mount --bind "$3" "$0/etc/caddy/Caddyfile"
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
root=$0 user=$4
shift 4
exec chroot --userspec="$user" --groups= "$root" /usr/bin/env -i "$@"
`

// start starts a container. The variables are added to those of the image.
func (i *image) start(t *testing.T, env ...string) *container {
	t.Helper()
	root := harness.TempDir(t)
	c := &container{t: t, image: i, log: filepath.Join(harness.TempDir(t), "log"), ended: make(chan error, 1)}
	c.env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + i.home(t)}, append(slices.Clone(i.config.Env), env...)...)
	out, err := os.Create(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := []string{
		"--mount", "--propagation", "private", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child",
		"sh", "-c", setup, root, i.rootfs, i.app, i.caddyfile, i.config.User,
	}
	command := append(slices.Clone(i.config.Entrypoint), i.config.Cmd...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "unshare", append(args, c.command(command)...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the container:\n%s", c.logged())
		}
		// All processes of the namespace end with process 1. The kernel forgets
		// --kill-child when a process changes its user.
		if c.pid != 0 {
			unix.Kill(c.pid, unix.SIGKILL)
		}
		cmd.Process.Kill()
		c.ended <- <-c.ended
	})
	harness.Eventually(t, func() error {
		c.wantRunning()
		children := harness.Descendants(cmd.Process.Pid)
		if len(children) == 0 {
			return errors.New("process 1 does not run")
		}
		c.pid = children[0].PID
		return nil
	})
	return c
}

// home returns the home directory of the image's user, which engines put into HOME.
func (i *image) home(t *testing.T) string {
	t.Helper()
	uid, _, _ := strings.Cut(i.config.User, ":")
	for line := range strings.Lines(harness.ReadFile(t, filepath.Join(i.rootfs, "etc/passwd"))) {
		if fields := strings.Split(line, ":"); len(fields) == 7 && fields[2] == uid {
			return fields[5]
		}
	}
	t.Fatalf("the image has no user %s", uid)
	return ""
}

// command returns the arguments of env for a command in the container.
func (c *container) command(args []string) []string {
	list := append([]string{"-C", c.image.config.WorkingDir}, c.env...)
	return append(list, args...)
}

func (c *container) wantRunning() {
	c.t.Helper()
	select {
	case err := <-c.ended:
		c.ended <- err
		c.t.Fatalf("the container has ended: %v", err)
	default:
	}
}

// waitServing waits until Caddy responds.
func (c *container) waitServing(url string) {
	c.t.Helper()
	harness.Eventually(c.t, func() error {
		c.wantRunning()
		res, err := c.client().Get(url)
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
}

// client returns an HTTP client in the container.
func (c *container) client() *http.Client {
	// Caddy makes its own certificate for localhost.
	trust := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true, TLSClientConfig: trust, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				err = unix.Setns(fd, unix.CLONE_NEWNET)
				unix.Close(fd)
			}
			if err != nil {
				done <- result{nil, fmt.Errorf("entering the namespace: %w", err)}
				return
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}}
	return &http.Client{Transport: transport, Timeout: harness.MaxWait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get requests a URL in the container, whose host is an address.
func (c *container) get(url string) *harness.Response {
	c.t.Helper()
	return harness.Do(c.t, c.client(), harness.NewRequest(c.t, http.MethodGet, url, nil))
}

// json requests a URL, and decodes the response.
func (c *container) json(url string, response any) {
	c.t.Helper()
	res := c.get(url)
	if err := json.Unmarshal([]byte(res.Text), response); err != nil {
		c.t.Fatalf("%s: %v in %s %q", url, err, res.Status, res.Text)
	}
}

// exec runs a command in the container, as docker exec does, and returns its output and
// exit code.
func (c *container) exec(args ...string) (string, int) {
	c.t.Helper()
	uid, gid, _ := strings.Cut(c.image.config.User, ":")
	return c.nsenter(append([]string{
		"--pid", "--net", "--ipc", "--uts", "--root", "--setuid", uid, "--setgid", gid, "/usr/bin/env", "-i",
	}, c.command(args)...)...)
}

// nsenter runs a command with the mounts of the container.
func (c *container) nsenter(args ...string) (string, int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "nsenter", append([]string{"--target", strconv.Itoa(c.pid), "--mount"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// healthcheck runs the health check of the image.
func (c *container) healthcheck() (string, int) {
	c.t.Helper()
	test := c.image.config.Healthcheck.Test
	if len(test) < 2 || test[0] != "CMD" {
		c.t.Fatalf("got the health check %q, want a command without a shell", test)
	}
	return c.exec(test[1:]...)
}

// stop sends the stop signal of the image to process 1, as docker stop does.
func (c *container) stop() {
	c.t.Helper()
	sig := unix.SignalNum(c.image.config.StopSignal)
	if sig == 0 {
		c.t.Fatalf("the stop signal %q does not exist", c.image.config.StopSignal)
	}
	harness.Kill(c.t, c.pid, sig)
}

// wantEnded waits until the container has ended, which must be by itself.
func (c *container) wantEnded() {
	c.t.Helper()
	select {
	case err := <-c.ended:
		c.ended <- err
		if err != nil {
			c.t.Errorf("the container ended with %v, want exit code 0", err)
		}
	case <-time.After(harness.MaxWait):
		c.t.Fatal("the container does not end")
	}
}

func (c *container) logged() string { return harness.ReadFile(c.t, c.log) }
