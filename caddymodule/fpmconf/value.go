package fpmconf

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mark encloses the name of an environment variable in a value, which has no other
// control characters: ${NAME} is "\x00NAME\x00" until the value is written.
const mark = "\x00"

var (
	errControl    = errors.New("it has a control character")
	errNotClosed  = errors.New("a quote is not closed")
	errExpression = errors.New("it is an expression that php-fpm may compute, and that import cannot: write its result")
)

// keywords are the words that PHP's ini files know, in any case.
var keywords = map[string]string{"true": "1", "on": "1", "yes": "1", "false": "", "off": "", "no": "", "none": "", "null": ""}

// levels are the constants of error_reporting, as of PHP 5.4 to 8.3. In PHP 8.4 E_ALL
// has no E_STRICT, which makes no difference there.
var levels = map[string]int{
	"E_ERROR": 1, "E_WARNING": 2, "E_PARSE": 4, "E_NOTICE": 8, "E_CORE_ERROR": 16, "E_CORE_WARNING": 32, "E_COMPILE_ERROR": 64,
	"E_COMPILE_WARNING": 128, "E_USER_ERROR": 256, "E_USER_WARNING": 512, "E_USER_NOTICE": 1024, "E_STRICT": 2048,
	"E_RECOVERABLE_ERROR": 4096, "E_DEPRECATED": 8192, "E_USER_DEPRECATED": 16384, "E_ALL": 32767,
}

var (
	variable   = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	expression = regexp.MustCompile(`^(?:\s*[|&^]?\s*~?\s*(?:E_[A-Z_]+|\d+))+\s*$`)
	operand    = regexp.MustCompile(`([|&^]?)\s*(~?)\s*(E_[A-Z_]+|\d+)`)
)

// parseValue returns the value at the right of "=" as PHP's ini parser reads it in
// ZEND_INI_SCANNER_NORMAL (Zend/zend_ini_scanner.l), with ${NAME} as marks.
func parseValue(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", errControl
	}
	var out strings.Builder
	var plain string // what has no quotes, if nothing else came
	parts, operators := 0, false
	for rest := strings.TrimLeft(text, " \t"); ; {
		if rest == "" || rest[0] == ';' {
			break
		}
		parts++
		switch rest[0] {
		case '"':
			value, after, err := doubleQuoted(rest[1:])
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			rest = strings.TrimLeft(after, " \t") // blanks count beside single quotes only
		case '\'':
			value, after, ok := strings.Cut(rest[1:], "'")
			if !ok {
				return "", errNotClosed
			}
			out.WriteString(value)
			rest = after
		default:
			n := plainLength(rest)
			value := rest[:n]
			rest = rest[n:]
			if rest == "" || rest[0] != '\'' {
				value = strings.TrimRight(value, " \t")
			}
			plain = value
			operators = operators || strings.ContainsAny(value, "|&^~!()=")
			out.WriteString(variables(value))
		}
	}
	switch {
	case parts > 1 && operators:
		return "", errExpression
	case parts != 1 || plain == "":
		return out.String(), nil
	}
	if word, ok := keywords[strings.ToLower(plain)]; ok {
		return word, nil
	}
	if operators || levels[plain] != 0 {
		return evaluate(plain)
	}
	return out.String(), nil
}

// plainLength returns the length of the part of a value before a quote or a comment.
func plainLength(text string) int {
	if n := strings.IndexAny(text, `;"'`); n >= 0 {
		return n
	}
	return len(text)
}

// doubleQuoted returns the text up to the closing quote, and what follows.
func doubleQuoted(text string) (value, after string, err error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return out.String(), text[i+1:], nil
		case text[i] == '\\' && i+1 < len(text) && strings.IndexByte(`"\$`, text[i+1]) >= 0:
			i++
			out.WriteByte(text[i])
		case text[i] == '$':
			name := variable.FindString(text[i:])
			if name == "" {
				out.WriteByte('$')
				continue
			}
			out.WriteString(variables(name))
			i += len(name) - 1
		default:
			out.WriteByte(text[i])
		}
	}
	return "", "", errNotClosed
}

// variables replaces each ${NAME} by a mark.
func variables(text string) string {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(text, "${")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		if m := variable.FindStringSubmatch("${" + after); m != nil {
			out.WriteString(mark + m[1] + mark)
			text = after[len(m[1])+1:]
			continue
		}
		out.WriteString("${")
		text = after
	}
}

// evaluate computes an expression of error levels and numbers from left to right, as
// PHP's ini parser does.
func evaluate(text string) (string, error) {
	if !expression.MatchString(text) {
		return "", errExpression
	}
	result := 0
	for i, m := range operand.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[3])
		if err != nil {
			if n = levels[m[3]]; n == 0 {
				return "", errExpression
			}
		}
		if m[2] != "" {
			n = ^n
		}
		switch {
		case i == 0 && m[1] == "":
			result = n
		case i > 0 && m[1] == "|":
			result |= n
		case i > 0 && m[1] == "&":
			result &= n
		case i > 0 && m[1] == "^":
			result ^= n
		default:
			return "", errExpression
		}
	}
	return strconv.Itoa(result), nil
}

// parseBool returns a switch of php-fpm, after parseValue. Words are left of a value in
// quotes, and of an environment variable.
func parseBool(value string) (on, ok bool) {
	switch value {
	case "1", "yes", "true", "on":
		return true, true
	}
	return false, slices.Contains([]string{"", "0", "no", "none", "false", "off"}, value)
}

// expand replaces the marks of a value.
func expand(value string, env func(name string) string) string {
	parts := strings.Split(value, mark)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = env(parts[i])
	}
	return strings.Join(parts, "")
}
