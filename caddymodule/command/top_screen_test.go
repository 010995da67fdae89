package command

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/vt"
)

// terminal is a terminal emulator that runs top.
type terminal struct {
	t         *testing.T
	term      vt.MockTerm
	snapshots []chan snapshot // of each machine, to come
	exited    chan struct{}
	stop      context.CancelFunc
}

const width, height = 100, 12

// startTop runs top with this model on a new terminal.
func startTop(t *testing.T, m *topModel) *terminal {
	t.Helper()
	tt := &terminal{
		t: t, term: vt.NewMockTerm(vt.MockOptSize{X: width, Y: height}), exited: make(chan struct{}),
	}
	for range m.hosts {
		tt.snapshots = append(tt.snapshots, make(chan snapshot))
	}
	screen, err := tcell.NewTerminfoScreenFromTty(tt.term)
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	tt.stop = stop
	go func() {
		defer close(tt.exited)
		defer screen.Fini()
		runScreen(ctx, screen, m, func(ctx context.Context, machine int, _ string) snapshot {
			select {
			case l := <-tt.snapshots[machine]:
				return l
			case <-ctx.Done():
				return snapshot{machine: machine, err: ctx.Err()}
			}
		})
	}()
	t.Cleanup(func() {
		stop()
		<-tt.exited
	})
	return tt
}

// row returns the text of a row of the screen.
func (tt *terminal) row(y int) string {
	var b strings.Builder
	for x := range width {
		cell := tt.term.GetCell(vt.Coord{X: vt.Col(x), Y: vt.Row(y)})
		if cell.C == "" {
			cell.C = " "
		}
		b.WriteString(cell.C)
	}
	return strings.TrimRight(b.String(), " ")
}

// shows waits until a row of the screen contains a text.
func (tt *terminal) shows(y int, text string) {
	tt.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(tt.row(y), text) {
		if time.Now().After(deadline) {
			var rows []string
			for y := range height {
				rows = append(rows, tt.row(y))
			}
			tt.t.Fatalf("row %d does not show %q:\n%s", y, text, strings.Join(rows, "\n"))
		}
		<-time.After(time.Millisecond)
	}
}

// snapshot gives top the next snapshot.
func (tt *terminal) snapshot(l snapshot) {
	tt.t.Helper()
	tt.snapshotOf(0, l)
}

// snapshotOf gives top the next snapshot of a machine.
func (tt *terminal) snapshotOf(machine int, l snapshot) {
	tt.t.Helper()
	l.machine = machine
	select {
	case tt.snapshots[machine] <- l:
	case <-time.After(10 * time.Second):
		tt.t.Fatal("top takes no new snapshot")
	}
}

// wantExit waits until top has returned.
func (tt *terminal) wantExit() {
	tt.t.Helper()
	select {
	case <-tt.exited:
	case <-time.After(10 * time.Second):
		tt.t.Fatal("top does not exit")
	}
}

func TestTopScreen_DrawsAndHandlesKeys(t *testing.T) {
	m := newTopModel(machines{{}})
	m.interval = time.Millisecond
	m.update(snapshotAt(0, poolOf("x", 0, worker(1, 5, 0, 1<<20, 7)), poolOf("y", 0, worker(2, -1, 3, 2<<20, 8))))
	tt := startTop(t, m)
	tt.shows(0, "12:00:00   all pools, by seconds")
	tt.shows(1, "2 pools:")
	tt.shows(3, "POOL  ID   PID  STATE  SECONDS")
	tt.shows(4, "x      1  1001  busy       5.0     -       0.0  1.0 MiB       7  GET /1")
	tt.shows(5, "y      2  1002  idle")
	tt.shows(height-1, "q quit")

	tt.term.KeyTap(vt.KeyM)
	tt.shows(0, "by memory")
	tt.shows(4, "y      2")

	tt.snapshot(snapshotAt(1, poolOf("x", 0, worker(1, 6, 0.5, 1<<20, 7)), poolOf("y", 0, worker(2, -1, 3, 2<<20, 8))))
	tt.shows(0, "12:00:01")
	tt.shows(5, "x      1  1001  busy       6.0    50")

	tt.snapshot(snapshot{err: errors.New("no Caddy responds")})
	tt.shows(1, "no Caddy responds")
	tt.shows(4, "y      2")

	tt.term.KeyTap(vt.KeyP)
	tt.shows(0, "pool x")
	tt.shows(5, "")

	tt.term.KeyTap(vt.KeyQ)
	tt.wantExit()
}

func TestTopScreen_ContextCanceled(t *testing.T) {
	m := newTopModel(machines{{}})
	m.interval = time.Hour
	m.update(snapshotAt(0))
	tt := startTop(t, m)
	tt.shows(1, "0 pools")
	tt.stop()
	tt.wantExit()
}

func TestTopScreen_Resize(t *testing.T) {
	m := newTopModel(machines{{}})
	m.interval = time.Hour
	m.update(snapshotAt(0, poolOf("x", 0)))
	tt := startTop(t, m)
	tt.shows(height-1, "q quit")
	tt.term.SetSize(vt.Coord{X: width, Y: 8})
	tt.shows(7, "q quit")
}
