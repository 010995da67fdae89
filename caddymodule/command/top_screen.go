package command

import (
	"context"
	"fmt"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
)

// liveTop runs top on the terminal until a key or a signal stops it.
func liveTop(ctx context.Context, machines machines, m *topModel) error {
	// On a terminal that is not UTF-8, replace other characters.
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII)
	screen, err := tcell.NewScreen(tcell.OptSanitizeContent(true), tcell.OptKeyboardProtocol(tcell.LegacyKeyboard))
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return fmt.Errorf("cannot draw on this terminal: %w: use --once", err)
	}
	defer screen.Fini() // even after a panic: a terminal in raw mode is unusable
	runScreen(ctx, screen, m, machines.snapshot)
	return nil
}

// runScreen is the event loop of top: it draws, handles keys, and takes a new
// snapshot of a machine when the interval has elapsed since the last one. A machine that does
// not respond delays no other.
func runScreen(ctx context.Context, screen tcell.Screen, m *topModel, take func(ctx context.Context, machine int, pool string) snapshot) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshots := make(chan snapshot, len(m.hosts))
	due := make(chan int, len(m.hosts)) // machines whose interval has elapsed
	pending := make([]bool, len(m.hosts))
	timers := make([]*time.Timer, len(m.hosts))
	for i := range m.hosts {
		timers[i] = time.AfterFunc(m.interval, func() {
			select {
			case due <- i:
			case <-ctx.Done():
			}
		})
		defer timers[i].Stop()
	}
	refresh := func(machine int) {
		if pending[machine] {
			return
		}
		pending[machine] = true
		pool := m.pool
		go func() { snapshots <- take(ctx, machine, pool) }()
	}
	for {
		draw(screen, m)
		select {
		case <-ctx.Done():
			return
		case machine := <-due:
			refresh(machine)
		case s := <-snapshots:
			pending[s.machine] = false
			m.update(s)
			timers[s.machine].Reset(m.interval)
		case ev, open := <-screen.EventQ():
			if !open {
				return
			}
			key, ok := ev.(*tcell.EventKey)
			if !ok {
				break // the terminal was resized: draw again
			}
			quit, changed := m.handleKey(keyName(key))
			if quit {
				return
			}
			for i := range m.hosts {
				if changed {
					refresh(i)
				}
			}
		}
	}
}

// keyName returns the letter or the name of a key.
func keyName(ev *tcell.EventKey) string {
	switch ev.Key() {
	case tcell.KeyRune:
		return ev.Str()
	case tcell.KeyCtrlC:
		return "Ctrl-C"
	default:
		return tcell.KeyNames[ev.Key()]
	}
}

// draw renders the model on the screen.
func draw(screen tcell.Screen, m *topModel) {
	screen.Clear()
	screen.HideCursor()
	width, height := screen.Size()
	for y, l := range m.render(height) {
		style := tcell.StyleDefault
		switch l.style {
		case plain:
		case header:
			style = style.Reverse(true)
			screen.FillArea(0, y, width, 1, ' ', style)
		case dim:
			style = style.Dim(true)
		case alert:
			style = style.Bold(true).Foreground(color.Red)
		}
		screen.PutStrStyled(0, y, l.text, style)
	}
	screen.Show()
}
