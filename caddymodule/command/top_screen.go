package command

import (
	"context"
	"fmt"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
)

// liveTop runs top on the terminal until a key or a signal stops it.
func liveTop(ctx context.Context, c *client, m *topModel) error {
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
	runScreen(ctx, screen, m, c.snapshot)
	return nil
}

// runScreen is the event loop of top: it draws, handles keys, and takes a new
// snapshot when the interval has elapsed since the last one.
func runScreen(ctx context.Context, screen tcell.Screen, m *topModel, take func(ctx context.Context, pool string) snapshot) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshots := make(chan snapshot, 1)
	pending := false
	refresh := func() {
		if pending {
			return
		}
		pending = true
		pool := m.pool
		go func() { snapshots <- take(ctx, pool) }()
	}
	next := time.NewTimer(m.interval)
	defer next.Stop()
	for {
		draw(screen, m)
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			refresh()
		case s := <-snapshots:
			pending = false
			m.update(s)
			next.Reset(m.interval)
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
			if changed {
				refresh()
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
