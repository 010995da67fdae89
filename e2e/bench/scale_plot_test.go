//go:build linux && bench

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// curve is a line of a chart: req/s by the number of workers, connections or pools.
type curve struct {
	Name   string
	Points []point
}

type point struct{ X, Y float64 }

// curves are the lines of one chart.
type curves struct{ all []curve }

func (c *curves) add(name string, n int, rate float64) {
	for i := range c.all {
		if c.all[i].Name == name {
			c.all[i].Points = append(c.all[i].Points, point{float64(n), rate})
			return
		}
	}
	c.all = append(c.all, curve{name, []point{{float64(n), rate}}})
}

// figures has the measured curves by what was scaled: workers, connections, pools.
type figures map[string][]curve

// readFigures reads earlier measurements from -scale.figures.
func readFigures(t *testing.T) figures {
	t.Helper()
	f := figures{}
	if *scaleFigures == "" {
		return f
	}
	text, err := os.ReadFile(*scaleFigures)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f figures) write(t *testing.T) {
	t.Helper()
	if *scaleFigures == "" {
		return
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, *scaleFigures, string(text))
}

// pen is the style of a line. The colours are visible on white and on black.
type pen struct{ name, colour, dashes string }

const (
	napping  = "a page that sleeps 20 ms"
	napIdeal = "50 a second from each worker"
)

var pens = []pen{
	{name: rivalNames[harness.SharedLean.Name], colour: "#2f81f7"},
	{name: rivalNames[harness.FPM.Name], colour: "#d9822b"},
	{name: rivalNames[harness.SharedLean.Name] + ", " + napping, colour: "#2f81f7", dashes: "2 4"},
	{name: napIdeal, colour: "#8b949e", dashes: "6 4"},
}

// plot draws three panels side by side.
func plot(panels []panel) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" fill="%s">`+"\n",
		len(panels)*panelWidth, panelHeight+40, ink)
	b.WriteString("<title>How php_pool scales</title>\n")
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d 0)">`+"\n", i*panelWidth)
		p.draw(&b)
		b.WriteString("</g>\n")
	}
	x := 60
	for _, p := range pens {
		fmt.Fprintf(&b, `<path d="M%d %d h26" stroke="%s" stroke-width="2.5" stroke-dasharray="%s"/>`, x, panelHeight+20, p.colour, p.dashes)
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", x+33, panelHeight+24, html.EscapeString(p.name))
		x += 66 + 61*len([]rune(p.name))/10
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// The sizes of a panel, and of the field within it.
const (
	panelWidth, panelHeight = 330, 270
	left, right             = 52, 318
	top, bottom             = 30, 222

	ink  = "#768390" // visible on white and on black
	thin = "#76839040"
)

// panel is one field with its axes: x is logarithmic, y starts at 0.
type panel struct {
	title, xLabel string
	curves        []curve
}

func (f figures) panels() []panel {
	return []panel{
		{"64 clients (400 where PHP sleeps)", "workers", f["workers"]},
		{"4 workers", "client connections", f["connections"]},
		{"64 clients, 1 worker each", "pools", f["pools"]},
	}
}

func (p panel) draw(b *strings.Builder) {
	var ticks []float64
	most := 1.0
	for _, c := range p.curves {
		for i, at := range c.Points {
			if i == len(ticks) {
				ticks = append(ticks, at.X)
			}
			most = max(most, at.Y)
		}
	}
	if len(ticks) == 0 {
		return
	}
	last := math.Log(max(2, ticks[len(ticks)-1]))
	x := func(v float64) float64 { return left + (right-left)*math.Log(v)/last }
	step := niceStep(most)
	full := step * math.Ceil(most/step)
	y := func(v float64) float64 { return bottom - (bottom-top)*v/full }

	fmt.Fprintf(b, `<text x="%d" y="16" text-anchor="middle" font-weight="600">%s</text>`+"\n", (left+right)/2, html.EscapeString(p.title))
	for v := 0.0; v <= full; v += step {
		fmt.Fprintf(b, `<path d="M%d %.1f H%d" stroke="%s"/>`, left, y(v), right, thin)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-6, y(v)+4, short(v))
	}
	for _, v := range ticks {
		fmt.Fprintf(b, `<path d="M%.1f %d v4" stroke="%s"/>`, x(v), bottom, ink)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(v), bottom+17, short(v))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+right)/2, bottom+36, html.EscapeString(p.xLabel))
	fmt.Fprintf(b, `<text x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %[1]d)">req/s</text>`+"\n", (top+bottom)/2)
	for _, c := range p.curves {
		for _, pen := range pens {
			if pen.name == c.Name {
				pen.draw(b, c, x, y)
			}
		}
	}
}

func (p pen) draw(b *strings.Builder, c curve, x, y func(float64) float64) {
	var path []string
	for _, at := range c.Points {
		path = append(path, fmt.Sprintf("%.1f,%.1f", x(at.X), y(at.Y)))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5" stroke-linejoin="round" stroke-dasharray="%s"/>`+"\n",
		strings.Join(path, " "), p.colour, p.dashes)
	for _, at := range c.Points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`, x(at.X), y(at.Y), p.colour)
	}
	b.WriteString("\n")
}

// niceStep returns the distance of the ticks of an axis with at most six of them.
func niceStep(most float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, times := range []float64{0.2, 0.5, 1, 2} {
		if most/(unit*times) <= 6 {
			return unit * times
		}
	}
	return unit * 5
}

// short writes 4000 as 4k.
func short(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v/1000, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
