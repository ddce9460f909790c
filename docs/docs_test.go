package docs_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shoal/docs"
	"shoal/fleet"
)

var update = flag.Bool("update", false, "rewrite the table of reasons.md")

// A reason is a constant of package fleet with its comment.
type reason struct {
	name    fleet.Reason
	meaning string
}

// reasons reads the constants from the source, so that none is forgotten.
func reasons(t *testing.T) (all []reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../fleet/reason.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		meaning := strings.TrimSpace(spec.Comment.Text())
		if meaning == "" {
			_, meaning, _ = strings.Cut(strings.Join(strings.Fields(spec.Doc.Text()), " "), ": ")
		}
		if text != "" {
			all = append(all, reason{fleet.Reason(text), strings.TrimSuffix(meaning, ".")})
		}
		return false
	})
	if len(all) < 80 {
		t.Fatalf("%d reasons were found", len(all))
	}
	return all
}

// The page on JSON lines has every flag.
func TestFlags(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("json.md")
	if err != nil {
		t.Fatal(err)
	}
	for f := fleet.Flags(1); len(f.Names()) > 0; f <<= 1 {
		if name := f.String(); !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("json.md does not have the flag %s", name)
		}
	}
}

// Every reason has an entry, no entry has a reason that does not exist, and the table is that of the source.
func TestReasons(t *testing.T) {
	all := reasons(t)
	var table strings.Builder
	table.WriteString("\n| reason | means | tried again |\n|---|---|---|\n")
	for _, r := range all {
		again := ""
		if r.name.Transient() {
			again = "yes"
		}
		if r.meaning == "" {
			t.Errorf("fleet/reason.go has no comment for %s", r.name)
		}
		fmt.Fprintf(&table, "| [%s](#%s) | %s | %s |\n", r.name, r.name, r.meaning, again)
		if docs.Reason(string(r.name)) == "" {
			t.Errorf("reasons.md has no entry for %s", r.name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllStringSubmatch(docs.Reasons, -1) {
		if !slices.ContainsFunc(all, func(r reason) bool { return string(r.name) == m[1] }) {
			t.Errorf("reasons.md has an entry for %q, which is no reason", m[1])
		}
	}
	before, rest, ok := strings.Cut(docs.Reasons, "-update -->\n")
	_, after, found := strings.Cut(rest, "<!-- end -->")
	if !ok || !found {
		t.Fatal("reasons.md has no place for the table")
	}
	want := before + "-update -->\n" + table.String() + "\n<!-- end -->" + after
	if want == docs.Reasons {
		return
	}
	if !*update {
		t.Fatal("the table of reasons.md is not that of fleet/reason.go: go test ./docs -update writes it")
	}
	if err := os.WriteFile("reasons.md", []byte(want), 0o644); err != nil { //nolint:gosec // a page for all
		t.Fatal(err)
	}
}

// The fields of results that json.md names are in the schema.
func TestFields(t *testing.T) {
	page, err := os.ReadFile("json.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../record/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	page, _, _ = bytes.Cut(page, []byte("\n## Flags\n"))
	n := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllSubmatch(page, -1) {
		for _, m := range regexp.MustCompile("`([^`]*)`").FindAllSubmatch(row[1], -1) {
			n++
			if schema.Defs["result"].Properties[string(m[1])] == nil {
				t.Errorf("json.md: results have no field %s", m[1])
			}
		}
	}
	if n < 15 {
		t.Errorf("%d fields were found", n)
	}
}
