// Package nearest finds the name that somebody meant who made a typing error.
package nearest

import "strings"

// Name returns the candidate that is most like name, or "" if none is like it.
// Upper and lower case are the same. Of equally similar candidates the first one
// wins. The more letters a name has, the more of them may differ.
func Name(name string, candidates []string) string {
	best, limit := "", max(1, len(name)/4)+1
	for _, candidate := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate), limit); d < limit {
			best, limit = candidate, d
		}
	}
	return best
}

// distance returns how many bytes must be inserted, removed, replaced or swapped with
// their neighbor to get from a to b (the optimal string alignment distance). It may
// return limit for a larger distance.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, aboveThat := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], aboveThat[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
