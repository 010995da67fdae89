package cgi

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

// candidate is one entry of try_files.
type candidate struct {
	kind candidateKind
	name string // the file name of dirFile, the path below the root of fixedFile
	// matcher finds the file of a pattern: Caddy interprets it.
	matcher *fileserver.MatchFile
}

type candidateKind uint8

const (
	pathItself candidateKind = iota // {path}
	dirFile                         // {path}/<file>
	fixedFile                       // <file>
	pattern                         // anything else
)

// requestPath is the placeholder that the Caddyfile abbreviates to {path}.
const requestPath = "{http.request.uri.path}"

// newCandidates parses the entries of try_files. The last one is used even if its
// file does not exist, if fallback is true. The error is that of Caddy's matcher.
func newCandidates(ctx caddy.Context, entries []string, splits splitter, fallback bool) ([]candidate, error) {
	var candidates []candidate
	for i, entry := range entries {
		entry = strings.ReplaceAll(entry, "{path}", requestPath)
		c := parseCandidate(entry, splits)
		if c.kind == pattern {
			c.matcher = &fileserver.MatchFile{
				Root: "{http.vars." + rootVar + "}", TryFiles: []string{entry}, SplitPath: splits,
			}
			if fallback && i == len(entries)-1 {
				c.matcher.TryPolicy = "first_exist_fallback"
			}
			if err := c.matcher.Provision(ctx); err != nil {
				return nil, err
			}
		}
		candidates = append(candidates, c)
	}
	return candidates, nil
}

// parseCandidate parses one entry of try_files.
func parseCandidate(entry string, splits splitter) candidate {
	name, inDir := strings.CutPrefix(entry, requestPath)
	if inDir && name == "" {
		return candidate{kind: pathItself}
	}
	file := strings.TrimPrefix(name, "/")
	if file == "" || strings.HasSuffix(file, "/") || strings.HasPrefix(name, "=") || strings.ContainsAny(file, `{}*?[]\`) {
		return candidate{kind: pattern}
	}
	if _, info := splits.split(CleanPath("/" + file)); info != "" {
		return candidate{kind: pattern} // a script with PATH_INFO
	}
	switch {
	case !inDir:
		return candidate{kind: fixedFile, name: CleanPath("/" + file)}
	case name != file:
		return candidate{kind: dirFile, name: file}
	}
	return candidate{kind: pattern} // such as {path}.php
}
