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

func TestOrphansAreReapedAndNoChildOfAnyoneElse(t *testing.T) {
	runStandIn(t, exec.Command(os.Args[0]), "parent")
}

// standInParent inherits orphans, as process 1 of a container does: programs
// that are not waited for, and workers that have lost their master.
func standInParent() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*soon)
	defer cancel()
	early, err := orphan()
	if err != nil {
		return err
	}
	if err := become(ctx, zombie, early); err != nil {
		return fmt.Errorf("the orphan is no zombie: %w", err)
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
	// This one is waited for, but not yet: as when its output is read first.
	late := exec.Command("sh", "-c", "exit 7")
	if err := late.Start(); err != nil {
		return err
	}
	if err := become(ctx, zombie, late.Process.Pid); err != nil {
		return fmt.Errorf("the command is no zombie: %w", err)
	}
	more, err := orphan()
	if err != nil {
		return err
	}
	if err := syscall.Kill(l.MasterPID(), syscall.SIGKILL); err != nil {
		return err
	}
	<-l.Done() // before that it might reap its child itself
	if err := syscall.Kill(worker.PID(), syscall.SIGKILL); err != nil {
		return err
	}
	if err := become(ctx, nothing, early, more, worker.PID()); err != nil {
		return fmt.Errorf("of the orphans %d, %d and %d there are %v: %w", early, more, worker.PID(), children(os.Getpid()), err)
	}
	var exit *exec.ExitError
	if err := late.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		return fmt.Errorf("the command that exits with 7: %w", err)
	}
	var died *phpbin.StartError
	if err := l.Err(); !errors.As(err, &died) || !strings.Contains(died.Error(), "signal: killed") {
		return fmt.Errorf("the master that was killed: %w", err)
	}
	fmt.Println("ready")
	return nil
}

// orphan starts a program whose parent is gone when it ends, and returns its
// number.
func orphan() (int, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer read.Close()
	defer write.Close() // which ends it
	cmd := exec.Command("sh", "-c", "setsid cat <&3 >/dev/null 2>&1 & echo $!")
	cmd.ExtraFiles = []*os.File{read}
	said, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(said)))
}

func zombie(fields []string) bool {
	return fields != nil && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid())
}

func nothing(fields []string) bool { return fields == nil }

// become waits until what /proc says of each process is as wanted.
func become(ctx context.Context, wanted func(fields []string) bool, pids ...int) error {
	for slices.ContainsFunc(pids, func(pid int) bool { return !wanted(stat(pid)) }) {
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}
