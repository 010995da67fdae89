package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what a Grafana dashboard asks Prometheus.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("grafana/php_pool.json")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	var look func(any)
	look = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				look(child)
			}
		case map[string]any:
			for key, child := range node {
				text, isText := child.(string)
				switch {
				case isText && key == "expr":
					queries = append(queries, text)
				case isText && key == "definition": // of a variable
					m := labelValues.FindStringSubmatch(text)
					if m == nil {
						t.Errorf("%s is no query that this test knows", text)
						continue
					}
					queries = append(queries, "sum by ("+m[2]+") ("+m[1]+")")
				default:
					look(child)
				}
			}
		}
	}
	look(tree)
	return queries
}

// What of PromQL is not the name of a metric, taken away in this order.
var (
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	matchers    = regexp.MustCompile(`\{[^}]*\}`)
	matcher     = regexp.MustCompile(`^(\w+)(=~|!~|!=|=)"([^"]*)"$`)
	durations   = regexp.MustCompile(`\[[^]]*\]`)
	groupings   = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	functions   = regexp.MustCompile(`\b\w+\s*\(`)
	aggregators = regexp.MustCompile(`\b(?:sum|min|max|avg)\b`)
	identifiers = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)
)

// begin takes a query apart.
func asks(t *testing.T, query string) (metrics, labels []string) {
	t.Helper()
	for _, braces := range matchers.FindAllString(query, -1) {
		for one := range strings.SplitSeq(strings.Trim(braces, "{}"), ", ") {
			m := matcher.FindStringSubmatch(one)
			if m == nil {
				t.Errorf("%s: %q is no matcher of a label", query, one)
				continue
			}
			labels = append(labels, m[1])
		}
	}
	rest := durations.ReplaceAllString(matchers.ReplaceAllString(query, ""), "")
	for _, m := range groupings.FindAllStringSubmatch(rest, -1) {
		labels = append(labels, strings.Split(m[1], ", ")...)
	}
	rest = groupings.ReplaceAllString(rest, "")
	rest = functions.ReplaceAllString(rest, "")
	rest = aggregators.ReplaceAllString(rest, "")
	return identifiers.FindAllString(rest, -1), labels
}

// The dashboard is made of just the metrics there are: one that has gone, or
// was renamed, would leave an empty panel, which looks like good news.
func TestTheDashboardUsesEveryMetricAndNoOther(t *testing.T) {
	all := scraped(t, complete(t))
	labelsOf := map[string][]string{}
	for name, f := range all {
		labels := []string{"pool", "instance", "job"}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if f.GetMetric()[0].GetHistogram() == nil {
			labelsOf[name] = labels
			continue
		}
		labelsOf[name+"_sum"], labelsOf[name+"_count"] = labels, labels
		labelsOf[name+"_bucket"] = append(labels, "le")
	}
	used := map[string]bool{}
	queries := dashboard(t)
	for _, query := range queries {
		metrics, labels := asks(t, query)
		if len(metrics) == 0 {
			t.Errorf("%s asks for no metric", query)
		}
		for _, name := range metrics {
			known, is := labelsOf[name]
			if !is {
				t.Errorf("%s: there is no metric %s", query, name)
			}
			for _, label := range labels {
				// In a sum of two metrics a label may belong to both only.
				if is && !slices.Contains(known, label) && (len(metrics) == 1 || !inAny(labelsOf, metrics, label)) {
					t.Errorf("%s: %s has no label %s", query, name, label)
				}
			}
			for family := range all {
				if name == family || strings.HasPrefix(name, family+"_") && labelsOf[family] == nil {
					used[family] = true
				}
			}
		}
	}
	for name := range all {
		if !used[name] {
			t.Errorf("%s is not on the dashboard (%d queries)", name, len(queries))
		}
	}
}

func inAny(labelsOf map[string][]string, metrics []string, label string) bool {
	return slices.ContainsFunc(metrics, func(m string) bool { return slices.Contains(labelsOf[m], label) })
}

// A state or reason that does not exist matches nothing, and says so to nobody.
func TestTheDashboardKnowsTheStatesOfWorkers(t *testing.T) {
	values := map[string]bool{}
	for _, f := range scraped(t, complete(t)) {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "state" || l.GetName() == "reason" {
					values[l.GetValue()] = true
				}
			}
		}
	}
	found := 0
	for _, query := range dashboard(t) {
		for _, m := range regexp.MustCompile(`\b(?:state|reason)(?:=~|!~|!=|=)"([^"]*)"`).FindAllStringSubmatch(query, -1) {
			for one := range strings.SplitSeq(m[1], "|") {
				found++
				if !values[one] {
					t.Errorf("%s: there is no %s", query, one)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no query was looked at")
	}
}
