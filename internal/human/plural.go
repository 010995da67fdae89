package human

import "fmt"

// Plural returns a number and the noun for it: "1 worker", "2 workers".
func Plural[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
