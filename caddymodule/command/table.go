package command

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// table is columns of text, as wide as they need to be. Numbers stand at the
// right of theirs.
type table struct {
	head []column
	rows [][]string
}

type column struct {
	title string
	right bool // a number
}

func left(title string) column  { return column{title, false} }
func right(title string) column { return column{title, true} }

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = doctor.Printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// render are the head and the rows, without blanks at their ends.
func (t *table) lines() []string {
	widths := make([]int, len(t.head))
	titles := make([]string, len(t.head))
	for i, c := range t.head {
		titles[i] = c.title
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	lines := []string{t.line(titles, widths)}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths))
	}
	return lines
}

func (t *table) line(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.head[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// memoryText is a size for people; "-" where the system does not tell.
func memoryText(n int64, known bool) string {
	if !known {
		return "-"
	}
	return human.Bytes(n)
}

// secondsText has one decimal, and none from a thousand on.
func secondsText(s float64) string {
	if s >= 1000 {
		return strconv.FormatFloat(s, 'f', 0, 64)
	}
	return strconv.FormatFloat(s, 'f', 1, 64)
}

// count is "1 worker", "2 workers".
func count[N int | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
