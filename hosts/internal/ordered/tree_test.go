package ordered_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts/internal/ordered"
)

// flat returns a tree as text, with kinds.
func flat(n *ordered.Node) string {
	switch n.Kind {
	case ordered.List:
		var items []string
		for _, item := range n.Items {
			items = append(items, flat(item))
		}
		return "[" + strings.Join(items, " ") + "]"
	case ordered.Map:
		var fields []string
		for key, item := range n.Fields() {
			fields = append(fields, key.Text+":"+flat(item))
		}
		return "{" + strings.Join(fields, " ") + "}"
	case ordered.Null:
		return "null"
	case ordered.Secret:
		return "secret"
	case ordered.Text:
		return fmt.Sprintf("%q", n.Text)
	}
	return n.Text
}

func TestYAML(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "null"},
		{"# c\n", "null"},
		{"a: {b: [1, x, ~, yes, true, 'no', 0x16, 1.50]}", `{a:{b:[1 "x" null "yes" true "no" 0x16 1.50]}}`},
		{"2024-01-01", `"2024-01-01"`},
		{"a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, c: 3}\nf: {<<: [{c: 9}, *x]}", "{a:{b:1 c:2} d:{b:1 c:2} e:{c:3 b:1} f:{c:9 b:1}}"},
		{"a: !vault |\n  $ANSIBLE_VAULT;1.1\nb: !unsafe '{{x}}'", `{a:secret b:"{{x}}"}`},
		{"a: |\n  x\n  y\n", `{a:"x\ny\n"}`},
		{"1: a\ntrue: b", `{1:"a" true:"b"}`},
		{"---\na: b\n...\n", `{a:"b"}`},
	} {
		n, f := ordered.YAML([]byte(c.text))
		if f != nil {
			t.Errorf("%q: %v", c.text, f)
			continue
		}
		if got := flat(n); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

// bomb names ten times what the line before names ten times.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range levels {
		alias := fmt.Sprintf("*a%d", i)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(alias+",", 9)+alias)
	}
	return b.String()
}

func TestYAMLFaults(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		reason     string
	}{
		{"doubled", "a: 1\nb: 2\na: 3", 3, `key "a" stands in line 1 already`},
		{"doubled deep", "x:\n  a: 1\n  a: 1", 3, `key "a" stands in line 2 already`},
		{"doubled as another type", "1: a\n'1': b", 2, `key "1" stands in line 1 already`},
		{"syntax", "a: [", 1, "not YAML: did not find expected node content"},
		{"two documents", "a: 1\n---\nb: 2", 2, "a second YAML document"},
		{"tag", "a: !ruby/object x", 1, `a value with the tag "!ruby/object"`},
		{"bomb", bomb(9), 7, "more than 10000000 values, aliases followed"},
		{"deep", strings.Repeat("[", 70) + strings.Repeat("]", 70), 1, "nested deeper than 64"},
		{"key that is a list", "[a]: b", 1, "a key that is a list"},
		{"merge of text", "a: {<<: b}", 1, "a merge key << of text"},
		{"merge of texts", "a: {<<: [b]}", 1, "a merge key << of text"},
		{"unknown alias", "a: *b", 0, "not YAML: unknown anchor 'b' referenced"},
	} {
		n, f := ordered.YAML([]byte(c.text))
		if f == nil || f.Line != c.line || f.Reason != c.reason {
			t.Errorf("%s: %+v, %+v; want line %d, %s", c.name, n != nil, f, c.line, c.reason)
		}
	}
	if n, f := ordered.YAML([]byte(bomb(5))); f != nil || len(n.Keys) != 6 {
		t.Errorf("a million aliases: %v", f)
	}
	if _, f := ordered.YAML(make([]byte, ordered.MaxBytes+1)); f == nil || f.Reason != "more than 134217728 bytes" {
		t.Errorf("too long: %v", f)
	}
}

func TestJSON(t *testing.T) {
	text := "{\"b\": [1, 1.50, \"x\", null, true,\n false], \"a\": {}}"
	n, f := ordered.JSON([]byte(text))
	if f != nil {
		t.Fatal(f)
	}
	if diff := cmp.Diff(`{b:[1 1.50 "x" null true false] a:{}}`, flat(n)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := n.Field("b").Items[5].Line; got != 2 {
		t.Errorf("false stands in line %d", got)
	}
	for _, c := range []struct {
		text   string
		line   int
		reason string
	}{
		{"", 1, "the JSON text ends too early"},
		{"{\"a\":1,\n", 2, "the JSON text ends too early"},
		{"{} {}", 1, "more after the end of the JSON text"},
		{"{\"a\":1,\n\"a\":2}", 2, `key "a" stands in line 1 already`},
		{strings.Repeat("[", 70), 1, "nested deeper than 64"},
		{"{\n\nx}", 3, "not JSON: invalid character 'x'"},
	} {
		_, f := ordered.JSON([]byte(c.text))
		if f == nil || f.Line != c.line || f.Reason != c.reason {
			t.Errorf("%q: %v, line %v; want line %d, %s", c.text, f, f, c.line, c.reason)
		}
	}
}

func TestFlat(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a", "a"}, {"0x16", "0x16"}, {"~", ""}, {"[1, a, {b: ~, c: yes}]", `["1","a",{"b":null,"c":"yes"}]`}, {"{}", "{}"}, {`"<\u001b"`, "<\x1b"},
	} {
		n, f := ordered.YAML([]byte(c.text))
		if f != nil {
			t.Fatal(f)
		}
		if got, f := n.Flat(); f != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.text, got, f, c.want)
		}
	}
	n, _ := ordered.YAML([]byte(bomb(5)))
	if text, f := n.Flat(); f == nil || f.Reason != "a value of more than 65536 bytes" {
		t.Errorf("%d bytes, %v", len(text), f)
	}
}

// check finds what a tree must not have.
func check(t *testing.T, n *ordered.Node, depth int, left *int) {
	if *left--; *left < 0 {
		return
	}
	if depth > ordered.MaxDepth || len(n.Keys) > 0 && len(n.Keys) != len(n.Items) {
		t.Fatalf("depth %d, %d keys, %d items", depth, len(n.Keys), len(n.Items))
	}
	seen := map[string]bool{}
	for _, key := range n.Keys {
		if seen[key.Text] {
			t.Fatalf("key %q stands twice", key.Text)
		}
		seen[key.Text] = true
	}
	for _, item := range n.Items {
		check(t, item, depth+1, left)
	}
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("a: &x {b: [1, 'c', !vault d]}\ne: {<<: *x, b: ~}\n"))
	f.Add([]byte(bomb(3)))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? [a]\n: b\n--- x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, fault := ordered.YAML(data)
		if (n == nil) == (fault == nil) {
			t.Fatalf("tree %v, fault %v", n, fault)
		}
		if n != nil {
			left := 100_000
			check(t, n, 0, &left)
			_, _ = n.Flat()
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a": [1, "b", {"c": null}], "d": true}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, fault := ordered.JSON(data)
		if (n == nil) == (fault == nil) {
			t.Fatalf("tree %v, fault %v", n, fault)
		}
		if n != nil {
			left := 100_000
			check(t, n, 0, &left)
			_, _ = n.Flat()
		}
	})
}
