package poolcfg

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// expand returns a copy of the options in which Caddy's global placeholders are
// replaced: {env.*}, {file.*}, {system.*} and {time.*}. Braces that are not such a
// placeholder stay, because they occur in values, and \{ is a brace as everywhere in
// Caddy. The error names the option and a placeholder that has no value: an empty
// password or path would fail later, or not at all.
func (o *Options) expand() (*Options, error) {
	expanded := *o
	expanded.source = o
	fields := reflect.ValueOf(&expanded).Elem()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		var err error
		switch p := fields.Field(i).Addr().Interface().(type) {
		case *string:
			*p, err = Expand(name, *p)
		case *[]string:
			*p, err = expandList(name, *p)
		case *map[string]string:
			*p, err = expandMap(name, *p)
		}
		if err != nil {
			return nil, err
		}
	}
	return &expanded, nil
}

func expandList(option string, list []string) ([]string, error) {
	list = slices.Clone(list)
	for i := range list {
		var err error
		if list[i], err = Expand(option, list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func expandMap(option string, values map[string]string) (map[string]string, error) {
	values = maps.Clone(values)
	for _, key := range slices.Sorted(maps.Keys(values)) { // sorted for the error
		var err error
		if values[key], err = Expand(option+" "+key, values[key]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Expand replaces Caddy's global placeholders in the value of an option, which the
// error names.
func Expand(option, value string) (string, error) {
	if !strings.ContainsAny(value, "{}") {
		return value, nil
	}
	var firstErr error
	global, repl := caddy.NewReplacer(), caddy.NewEmptyReplacer()
	repl.Map(func(key string) (any, bool) {
		value, known, err := placeholder(global, key)
		if err != nil && firstErr == nil {
			firstErr = fmt.Errorf("%s: {%s} %w", option, key, err)
		}
		return value, known
	})
	expanded := repl.ReplaceKnown(value, "")
	return expanded, firstErr
}

// placeholder returns the value of a placeholder. known is false if the text in
// braces is not a global placeholder.
func placeholder(global *caddy.Replacer, key string) (value any, known bool, err error) {
	prefix, name, ok := strings.Cut(key, ".")
	if !ok {
		return nil, false, nil
	}
	switch prefix {
	case "env":
		text, ok := os.LookupEnv(name)
		if !ok {
			err = fmt.Errorf("has no value: set %s in the environment of Caddy, or remove the option", name)
		}
		return text, true, err
	case "file":
		if info, err := os.Stat(name); err != nil {
			return nil, true, fmt.Errorf("has no value: %w: write the path of a file that Caddy can read", cause(err))
		} else if info.IsDir() {
			return nil, true, errors.New("is a directory: write the path of a file")
		}
		if err := readableFile(name); err != nil {
			return nil, true, fmt.Errorf("has no value: %w: let Caddy's user read the file", err)
		}
		value, known = global.Get(key)
		return value, known, nil
	case "system", "time":
		if value, known = global.Get(key); !known {
			err = errors.New("is not a placeholder of Caddy: correct it")
		}
		return value, true, err
	case "http", "vars":
		return nil, true, errors.New("depends on the request, but php-cgi is started before it: write a fixed value, or env in the block of php_pool for a variable in $_SERVER")
	}
	return nil, false, nil
}

// Reread returns the options with their placeholders replaced again, because a file
// may have changed.
func (o *Options) Reread() (*Options, error) {
	if o.source == nil {
		return o, nil
	}
	fresh, err := o.source.expand()
	if err != nil {
		return nil, err
	}
	fresh.binding, fresh.secrets = o.binding, o.secrets
	if w := o.worker; w != nil {
		fresh = fresh.ForWorker(&w.Worker, w.path, w.env)
	}
	return fresh, fresh.Validate()
}
