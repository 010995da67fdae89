//go:build linux && bench

package bench

import (
	"fmt"
	"strings"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// target says what php_pool has to reach in a work, compared with the incumbent.
type target struct {
	rate float64 // minimum ratio of requests per second
	cpu  float64 // maximum ratio of CPU time per request
	p99  float64 // maximum ratio of p99
	bare float64 // minimum ratio of requests per second to php-cgi alone
	best bool    // no rival may be better, in requests or in CPU
}

// verdict is a target and the measured value.
type verdict struct {
	what, got, want string
	met             bool
}

func (v verdict) String() string {
	word := "missed"
	if v.met {
		word = "met"
	}
	return fmt.Sprintf("%s %s, wanted %s: %s", v.what, v.got, v.want, word)
}

func atLeast(what string, got, want float64) verdict {
	return verdict{what, fmt.Sprintf("%.2f", got), fmt.Sprintf("≥ %.2f", want), got >= want}
}

func atMost(what string, got, want float64, unit string) verdict {
	return verdict{what, fmt.Sprintf("%.2f%s", got, unit), fmt.Sprintf("≤ %.2f%s", want, unit), got <= want}
}

// judge compares the measurements with the target. The first one is the incumbent.
func (g target) judge(all []*tally) (verdicts []verdict) {
	incumbent, ours := all[0], all[0]
	for _, c := range all {
		if c.rival == rivalNames[harness.SharedLean.Name] {
			ours = c
		}
	}
	rate, cpu := ours.ratios(incumbent)
	if g.rate > 0 {
		verdicts = append(verdicts, atLeast("req/s ratio", rate, g.rate))
	}
	if g.cpu > 0 {
		verdicts = append(verdicts, atMost("CPU ratio", cpu, g.cpu, ""))
	}
	if g.p99 > 0 {
		verdicts = append(verdicts, atMost("p99", ms(ours.p99()), g.p99*ms(incumbent.p99()), " ms"))
	}
	for _, c := range all {
		if c.bare && g.bare > 0 {
			rate, _ := ours.ratios(c)
			verdicts = append(verdicts, atLeast("req/s to php-cgi alone", rate, g.bare))
		}
	}
	if g.best {
		verdicts = append(verdicts, ours.best(all)...)
	}
	return verdicts
}

// best compares with the best rival in requests, and with the best in CPU.
func (c *tally) best(all []*tally) []verdict {
	var most, least *tally
	for _, other := range all {
		if other.ours || other.limit {
			continue
		}
		if most == nil || other.rate() > most.rate() {
			most = other
		}
		if least == nil || other.cpu() < least.cpu() {
			least = other
		}
	}
	rate, _ := c.ratios(most)
	_, cpu := c.ratios(least)
	return []verdict{atLeast("req/s to the best, "+most.rival, rate, 1), atMost("CPU to the best, "+least.rival, cpu, 1, "")}
}

// targetLine returns the line below a table.
func targetLine(verdicts []verdict) string {
	if len(verdicts) == 0 {
		return ""
	}
	var all []string
	for _, v := range verdicts {
		all = append(all, v.String())
	}
	return "\ntargets: " + strings.Join(all, "; ") + "\n"
}

// scores are the verdicts of a whole run, in order.
type scores []verdict

// add adds the verdicts of one table.
func (s *scores) add(table string, verdicts []verdict) {
	for _, v := range verdicts {
		v.what = table + ": " + v.what
		*s = append(*s, v)
	}
}

// String returns the summary: each target, and how many are met.
func (s scores) String() string {
	var b strings.Builder
	b.WriteString("\n| target | wanted | measured | |\n|---|---|---|---|\n")
	met := 0
	for _, v := range s {
		word := "missed"
		if v.met {
			word = "met"
			met++
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.what, v.want, v.got, word)
	}
	if met == len(s) {
		fmt.Fprintf(&b, "\nevery target met (%d)\n", met)
	} else {
		fmt.Fprintf(&b, "\n%d of %d targets met\n", met, len(s))
	}
	return b.String()
}
