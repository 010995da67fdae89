package command

import (
	"context"
	"fmt"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
)

// liveTop shows the view on the terminal until a key or a signal ends it.
func liveTop(ctx context.Context, c *client, v *topModel) error {
	// A terminal that is not UTF-8 gets what it can show.
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII)
	screen, err := tcell.NewScreen(tcell.OptSanitizeContent(true), tcell.OptKeyboardProtocol(tcell.LegacyKeyboard))
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return fmt.Errorf("this terminal cannot be drawn on: %w: write --once", err)
	}
	defer screen.Fini() // also when something panics: a raw terminal is of no use
	runScreen(ctx, screen, v, c.snapshot)
	return nil
}

// runScreen is top's loop: it draws, takes keys, and looks again when the interval
// has passed since the last answer.
func runScreen(ctx context.Context, screen tcell.Screen, v *topModel, query func(ctx context.Context, pool string) snapshot) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshots := make(chan snapshot, 1)
	pending := false
	query2 := func() {
		if pending {
			return
		}
		pending = true
		pool := v.pool
		go func() { snapshots <- query(ctx, pool) }()
	}
	next := time.NewTimer(v.interval)
	defer next.Stop()
	for {
		draw(screen, v)
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			query2()
		case l := <-snapshots:
			pending = false
			v.update(l)
			next.Reset(v.interval)
		case ev, open := <-screen.EventQ():
			if !open {
				return
			}
			key, ok := ev.(*tcell.EventKey)
			if !ok {
				break // another size, and it is drawn anew
			}
			quit, other := v.handleKey(keyName(key))
			if quit {
				return
			}
			if other {
				query2()
			}
		}
	}
}

// keyName is a letter itself, or a key's name.
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

// draw puts the view on the screen.
func draw(screen tcell.Screen, v *topModel) {
	screen.Clear()
	screen.HideCursor()
	width, height := screen.Size()
	for y, l := range v.render(height) {
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
