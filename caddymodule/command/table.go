package command

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// table is text in columns, each as wide as its longest cell. Numbers are aligned
// to the right. The last cell of a row that is shorter than the head is text that reaches over
// the other columns.
type table struct {
	head []column
	rows [][]string
}

type column struct {
	title string
	right bool // aligned to the right
}

func left(title string) column  { return column{title, false} }
func right(title string) column { return column{title, true} }

func (t *table) add(cells ...string) { t.insert(len(t.rows), cells...) }

// insert adds a row before the one with this index.
func (t *table) insert(before int, cells ...string) {
	for i := range cells {
		cells[i] = doctor.Printable(cells[i])
	}
	t.rows = slices.Insert(t.rows, before, cells)
}

// lines returns the head and the rows, without trailing spaces.
func (t *table) lines() []string {
	widths := make([]int, len(t.head))
	titles := make([]string, len(t.head))
	for i, c := range t.head {
		titles[i] = c.title
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			if i < len(row)-1 || i < len(row) && len(row) == len(t.head) {
				widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			}
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
		pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
		if t.head[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// memoryText formats a size; "-" if it is unknown.
func memoryText(n int64, known bool) string {
	if !known {
		return "-"
	}
	return human.Bytes(n)
}

// secondsText formats seconds with one decimal, or none from 1000 on.
func secondsText(s float64) string {
	if s >= 1000 {
		return strconv.FormatFloat(s, 'f', 0, 64)
	}
	return strconv.FormatFloat(s, 'f', 1, 64)
}
