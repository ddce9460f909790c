package groups

import "strings"

// qualify names the source of the groups that an expression holds: inside of a
// source @name means the same source (ClusterShell, NodeSet.py, parse_string).
func qualify(expression, source string) string {
	if strings.IndexByte(expression, '@') < 0 {
		return expression
	}
	var b strings.Builder
	start := true // of a term
	for i := range len(expression) {
		c := expression[i]
		b.WriteByte(c)
		if c == '@' && start && i+1 < len(expression) && expression[i+1] != '@' {
			term := expression[i+1:]
			if end := strings.IndexAny(term, ",!&^ \t"); end >= 0 {
				term = term[:end]
			}
			if !strings.ContainsRune(term, ':') {
				b.WriteString(source + ":")
			}
		}
		start = strings.IndexByte(",!&^ \t", c) >= 0
	}
	return b.String()
}
