package serve

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// readEnvfiles returns the variables of files. The first file that has one decides, as with
// the flag --envfile of Caddy's own commands. Caddy exports no function for that.
func readEnvfiles(files []string) (map[string]string, error) {
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--envfile: %w", err)
		}
		variables, err := parseEnvfile(string(text))
		if err != nil {
			return nil, fmt.Errorf("--envfile %s: %w", file, err)
		}
		maps.Copy(variables, all)
		all = variables
	}
	return all, nil
}

// setEnv sets the variables that are not set yet.
func setEnv(variables map[string]string) error {
	for name, value := range variables {
		if _, isSet := os.LookupEnv(name); isSet {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("--envfile: the variable %q: %w", name, err)
		}
	}
	// Caddy has computed these from HOME, XDG_DATA_HOME and XDG_CONFIG_HOME when it began.
	caddy.ConfigAutosavePath = filepath.Join(caddy.AppConfigDir(), "autosave.json")
	caddy.DefaultStorage.Path = caddy.AppDataDir()
	return nil
}

// plainName matches the names of variables that can be part of a placeholder.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// variablesOfPHP returns the names of the variables that PHP gets, sorted. It has its own HOME,
// USER and TMPDIR, and must not have some others.
func (s *site) variablesOfPHP() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.env)), func(name string) bool {
		return !plainName.MatchString(name) || !phpbin.AllowsEnv(name) || slices.Contains([]string{"HOME", "USER", "TMPDIR"}, name)
	})
}

// parseEnvfile parses lines NAME=VALUE by the rules of Caddy: a # begins a comment, also in
// a value in quotes; a value in quotes may have several lines; nothing is expanded.
func parseEnvfile(text string) (map[string]string, error) {
	variables := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimPrefix(name, "export ")
		if !found || name == "" || strings.Contains(name, " ") || strings.HasPrefix(value, " ") || strings.HasPrefix(value, "\t") {
			return nil, fmt.Errorf("line %d: write NAME=VALUE, without spaces around =", n)
		}
		if before, _, found := strings.Cut(value, "#"); found {
			value = strings.TrimRight(before, " \t")
		}
		if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
			quote := value[:1]
			escaped := `\` + quote
			for !strings.HasSuffix(line, quote) || strings.HasSuffix(line, escaped) {
				value = strings.ReplaceAll(value, escaped, quote)
				if !lines.Scan() {
					break
				}
				n++
				line = strings.ReplaceAll(lines.Text(), escaped, quote)
				value += "\n" + line
			}
			value = strings.TrimSuffix(strings.TrimPrefix(value, quote), quote)
		}
		variables[name] = value
	}
	return variables, lines.Err()
}
