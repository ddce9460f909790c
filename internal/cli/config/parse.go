package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// An entry is a key of a file with its value, or a table.
type entry struct {
	path  []string
	line  int
	table bool
	value any // as go-toml decodes it; nil for a table
}

// parse returns the entries of a file in their order. Errors begin with the number of a line.
func parse(text []byte) ([]entry, error) {
	var whole map[string]any
	if err := toml.Unmarshal(text, &whole); err != nil {
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := at.Position()
			return nil, fmt.Errorf("%d: %s", line, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, fmt.Errorf("1: %w", err)
	}
	r := reader{whole: whole}
	r.parser.Reset(text)
	for r.parser.NextExpression() {
		if err := r.expression(r.parser.Expression()); err != nil {
			return nil, err
		}
	}
	return r.entries, nil
}

// A reader walks over a text for the lines of its keys. The values are those of whole.
type reader struct {
	parser  unstable.Parser
	whole   map[string]any
	table   []string // that of the expressions that follow
	entries []entry
}

func (r *reader) expression(e *unstable.Node) error {
	path, line := r.key(e)
	switch e.Kind {
	case unstable.ArrayTable:
		return fmt.Errorf("%d: [[%s]] is a list of tables, and nothing here is: write [%[2]s]", line, strings.Join(path, "."))
	case unstable.Table:
		r.table = path
		r.entries = append(r.entries, entry{path: path, line: line, table: true})
	case unstable.KeyValue:
		r.add(slices.Concat(r.table, path), line, e.Value())
	}
	return nil
}

func (r *reader) add(path []string, line int, value *unstable.Node) {
	if value.Kind != unstable.InlineTable {
		r.entries = append(r.entries, entry{path: path, line: line, value: at(r.whole, path)})
		return
	}
	r.entries = append(r.entries, entry{path: path, line: line, table: true})
	for inner := value.Children(); inner.Next(); {
		below, _ := r.key(inner.Node())
		r.add(slices.Concat(path, below), line, inner.Node().Value())
	}
}

// key returns the dotted key of an expression, and its line.
func (r *reader) key(e *unstable.Node) (path []string, line int) {
	for part := e.Key(); part.Next(); {
		line = cmp.Or(line, r.parser.Shape(part.Node().Raw).Start.Line)
		path = append(path, string(part.Node().Data))
	}
	return path, line
}

func at(table map[string]any, path []string) any {
	var value any = table
	for _, name := range path {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

// scalar returns a value as it would be typed; kind says what it is.
func scalar(value any) (text, kind string) {
	switch v := value.(type) {
	case string:
		return v, "text"
	case bool:
		return strconv.FormatBool(v), "true or false"
	case int64:
		return strconv.FormatInt(v, 10), "a whole number"
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), "a number with a fraction"
	case []any:
		return "", "a list"
	}
	return "", "a date or time"
}
