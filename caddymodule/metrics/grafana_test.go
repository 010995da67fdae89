package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// readDashboard parses the Grafana dashboard into v.
func readDashboard(t *testing.T, v any) {
	t.Helper()
	text, err := os.ReadFile("grafana/php_pool.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// dashboardQueries returns the PromQL expressions of the Grafana dashboard.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var tree any
	readDashboard(t, &tree)
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
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
						t.Errorf("this test cannot parse the query %s", text)
						continue
					}
					queries = append(queries, "sum by ("+m[2]+") ("+m[1]+")")
				default:
					walk(child)
				}
			}
		}
	}
	walk(tree)
	return queries
}

// The parts of PromQL, which parse removes in this order until only the names of
// metrics are left.
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

// parse returns the metrics and labels that a query uses.
func parse(t *testing.T, query string) (metrics, labels []string) {
	t.Helper()
	for _, braces := range matchers.FindAllString(query, -1) {
		for one := range strings.SplitSeq(strings.Trim(braces, "{}"), ", ") {
			m := matcher.FindStringSubmatch(one)
			if m == nil {
				t.Errorf("%s: %q: not a label matcher", query, one)
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

// A metric that was removed or renamed would leave an empty panel, which looks like
// good news.
func TestDashboard_UsesExactlyTheMetrics(t *testing.T) {
	all := scrape(t, newFullPool(t))
	labelsOf := seriesLabels(all)
	used := map[string]bool{}
	queries := dashboardQueries(t)
	for _, query := range queries {
		metrics, labels := parse(t, query)
		if len(metrics) == 0 {
			t.Errorf("%s uses no metric", query)
		}
		for _, name := range metrics {
			known, ok := labelsOf[name]
			if !ok {
				t.Errorf("%s: there is no metric %s", query, name)
			}
			for _, label := range labels {
				// With two metrics the label may belong to one of them only.
				if ok && !slices.Contains(known, label) && (len(metrics) == 1 || !inAny(labelsOf, metrics, label)) {
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

// seriesLabels returns the labels of each series, and those that Prometheus adds.
func seriesLabels(all map[string]*dto.MetricFamily) map[string][]string {
	labelsOf := map[string][]string{}
	for name, f := range all {
		labels := []string{"pool", "instance", "job"}
		for _, l := range f.GetMetric()[0].GetLabel() {
			if l.GetName() != "pool" {
				labels = append(labels, l.GetName())
			}
		}
		if f.GetMetric()[0].GetHistogram() == nil {
			labelsOf[name] = labels
			continue
		}
		labelsOf[name+"_sum"], labelsOf[name+"_count"] = labels, labels
		labelsOf[name+"_bucket"] = append(labels, "le")
	}
	return labelsOf
}

// PromQL adds series only if they have the same labels. Other metrics must be summed
// first, else the result is empty.
func TestDashboard_AddsMetricsWithTheSameLabels(t *testing.T) {
	labelsOf := seriesLabels(scrape(t, newFullPool(t)))
	aggregation := regexp.MustCompile(`\b(?:sum|min|max|avg) by \([^)]*\) \(`)
	for _, query := range dashboardQueries(t) {
		for _, at := range aggregation.FindAllStringIndex(query, -1) {
			end, depth := at[1], 1
			for ; depth > 0; end++ {
				switch query[end] {
				case '(':
					depth++
				case ')':
					depth--
				}
			}
			metrics, _ := parse(t, query[at[1]:end-1])
			for _, name := range metrics {
				if !slices.Equal(labelsOf[name], labelsOf[metrics[0]]) {
					t.Errorf("%s: %s has the labels %q, but %s has %q", query, name, labelsOf[name], metrics[0], labelsOf[metrics[0]])
				}
			}
		}
	}
}

// A pattern that matches no legend leaves the series in the default style.
func TestDashboard_OverridesMatchLegends(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title       string
			FieldConfig struct {
				Overrides []struct {
					Matcher struct{ ID, Options string }
				}
			}
			Targets []struct{ LegendFormat string }
		}
	}
	readDashboard(t, &dashboard)
	found := 0
	for _, panel := range dashboard.Panels {
		for _, override := range panel.FieldConfig.Overrides {
			if override.Matcher.ID != "byRegexp" {
				continue
			}
			found++
			matches := false
			for _, target := range panel.Targets {
				matches = matches || regexp.MustCompile(override.Matcher.Options).MatchString(target.LegendFormat)
			}
			if !matches {
				t.Errorf("%s: no legend matches %q", panel.Title, override.Matcher.Options)
			}
		}
	}
	if found == 0 {
		t.Error("no panel has an override by regular expression")
	}
}

func inAny(labelsOf map[string][]string, metrics []string, label string) bool {
	return slices.ContainsFunc(metrics, func(m string) bool { return slices.Contains(labelsOf[m], label) })
}

// A matcher with an unknown state or reason matches nothing, without an error.
func TestDashboard_StatesAndReasonsExist(t *testing.T) {
	values := map[string]bool{}
	for _, f := range scrape(t, newFullPool(t)) {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "state" || l.GetName() == "reason" {
					values[l.GetValue()] = true
				}
			}
		}
	}
	found := 0
	for _, query := range dashboardQueries(t) {
		for _, m := range regexp.MustCompile(`\b(?:state|reason)(?:=~|!~|!=|=)"([^"]*)"`).FindAllStringSubmatch(query, -1) {
			for one := range strings.SplitSeq(m[1], "|") {
				found++
				if !values[one] {
					t.Errorf("%s: no series has the state or reason %s", query, one)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no query has a matcher of state or reason")
	}
}
