package command

import (
	"context"
	"fmt"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
)

// liveTop shows the view on the terminal until a key or a signal ends it.
func liveTop(ctx context.Context, c *client, v *view) error {
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
	show(ctx, screen, v, c.look)
	return nil
}

// show is top's loop: it draws, takes keys, and looks again when the interval
// has passed since the last answer.
func show(ctx context.Context, screen tcell.Screen, v *view, ask func(ctx context.Context, pool string) look) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan look, 1)
	asking := false
	begin := func() {
		if asking {
			return
		}
		asking = true
		pool := v.pool
		go func() { answers <- ask(ctx, pool) }()
	}
	next := time.NewTimer(v.interval)
	defer next.Stop()
	for {
		draw(screen, v)
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			begin()
		case l := <-answers:
			asking = false
			v.arrived(l)
			next.Reset(v.interval)
		case ev, open := <-screen.EventQ():
			if !open {
				return
			}
			key, ok := ev.(*tcell.EventKey)
			if !ok {
				break // another size, and it is drawn anew
			}
			quit, other := v.key(keyName(key))
			if quit {
				return
			}
			if other {
				begin()
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
func draw(screen tcell.Screen, v *view) {
	screen.Clear()
	screen.HideCursor()
	width, height := screen.Size()
	for y, l := range v.lines(height) {
		style := tcell.StyleDefault
		switch l.tone {
		case plain:
		case title:
			style = style.Reverse(true)
			screen.FillArea(0, y, width, 1, ' ', style)
		case faint:
			style = style.Dim(true)
		case alarm:
			style = style.Bold(true).Foreground(color.Red)
		}
		screen.PutStrStyled(0, y, l.text, style)
	}
	screen.Show()
}
