package limit

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"shoal/hosts/internal/problem"
)

// matcher compiles ~regex, found at the beginning as Python's match does, or a
// shell pattern.
func matcher(expr string) (*regexp.Regexp, error) {
	text := `^(?:` + strings.TrimPrefix(expr, "~") + `)`
	if expr[0] != '~' {
		text = `(?s)^` + globRegexp(expr) + `$`
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, problem.Faultf("the syntax is RE2's, without look-around and back-references", "pattern %q: %v", problem.Bounded(expr), err)
	}
	return compiled, nil
}

// globRegexp translates * ? [abc] [!abc] as Python's fnmatch does: a bracket that
// is not closed is itself.
func globRegexp(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := classEnd(glob, i)
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			class := strings.ReplaceAll(glob[i+1:end], `\`, `\\`)
			class = strings.ReplaceAll(class, "[", `\[`)
			switch class[0] {
			case '!':
				class = "^" + class[1:]
			case '^':
				class = `\` + class
			}
			b.WriteString("[" + class + "]")
			i = end
		default:
			if c < utf8.RuneSelf {
				b.WriteString(regexp.QuoteMeta(string(rune(c))))
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// classEnd finds the bracket that closes the class at start; one right at its
// beginning belongs to it.
func classEnd(glob string, start int) int {
	from := start + 1
	if from < len(glob) && glob[from] == '!' {
		from++
	}
	if from < len(glob) && glob[from] == ']' {
		from++
	}
	if from > len(glob) {
		return -1
	}
	end := strings.IndexByte(glob[from:], ']')
	if end < 0 {
		return -1
	}
	return from + end
}
