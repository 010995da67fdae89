package phpbin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestReaper_OnlyOrphans(t *testing.T) {
	startHelper(t, exec.Command(os.Args[0]), "parent")
}

// helperParent inherits orphans, as process 1 of a container does: programs that
// nothing waits for, and workers whose master has died.
func helperParent() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitLimit)
	defer cancel()
	early, err := startOrphan()
	if err != nil {
		return err
	}
	if err := waitStat(ctx, zombie, early); err != nil {
		return fmt.Errorf("waiting until the orphan is a zombie: %w", err)
	}
	path, err := phpbin.Find("")
	if err != nil {
		return err
	}
	l, err := phpbin.StartShared(ctx, phpbin.Options{Binary: path, Slots: 2, Handshake: handshake})
	if err != nil {
		return err
	}
	worker, err := l.Launch(ctx)
	if err != nil {
		return err
	}
	// Wait is called later for this one, as when its output is read first.
	late := exec.Command("sh", "-c", "exit 7")
	if err := late.Start(); err != nil {
		return err
	}
	if err := waitStat(ctx, zombie, late.Process.Pid); err != nil {
		return fmt.Errorf("waiting until the command is a zombie: %w", err)
	}
	more, err := startOrphan()
	if err != nil {
		return err
	}
	if err := syscall.Kill(l.MasterPID(), syscall.SIGKILL); err != nil {
		return err
	}
	<-l.Done() // before that the master might reap its child
	if err := syscall.Kill(worker.PID(), syscall.SIGKILL); err != nil {
		return err
	}
	if err := waitStat(ctx, nothing, early, more, worker.PID()); err != nil {
		return fmt.Errorf("waiting until the orphans %d, %d and %d are reaped, children %v: %w", early, more, worker.PID(), children(os.Getpid()), err)
	}
	var exit *exec.ExitError
	if err := late.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		return fmt.Errorf("the command must exit with 7: %w", err)
	}
	var died *phpbin.StartError
	if err := l.Err(); !errors.As(err, &died) || !strings.Contains(died.Error(), "signal: killed") {
		return fmt.Errorf("the master must be killed: %w", err)
	}
	fmt.Println("ready")
	return nil
}

// startOrphan starts a program whose parent exits before it, and returns its pid.
func startOrphan() (int, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer read.Close()
	defer write.Close() // the program exits on EOF
	cmd := exec.Command("sh", "-c", "setsid cat <&3 >/dev/null 2>&1 & echo $!")
	cmd.ExtraFiles = []*os.File{read}
	output, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(output)))
}

func zombie(fields []string) bool {
	return fields != nil && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid())
}

func nothing(fields []string) bool { return fields == nil }

// waitStat waits until /proc/PID/stat of each process is as wanted.
func waitStat(ctx context.Context, wanted func(fields []string) bool, pids ...int) error {
	for slices.ContainsFunc(pids, func(pid int) bool { return !wanted(stat(pid)) }) {
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}
