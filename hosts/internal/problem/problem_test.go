package problem_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shoal/hosts/internal/problem"
	"shoal/internal/hint"
)

func TestJoin(t *testing.T) {
	var a, b problem.Problems
	for i := range 700 {
		a.Add(problem.Problem{Reason: fmt.Sprint("a", i)})
		b.Failed("f", i, strings.Repeat("x", 200), problem.Faultf("do it", "b%d", i))
	}
	a.Join(&b)
	if a.Total != 1400 || len(a.List) != 1000 || a.List[699].Reason != "a699" || a.List[700].Reason != "b0" || a.List[999].Reason != "b299" {
		t.Errorf("%d problems, %d kept", a.Total, len(a.List))
	}
	if got := a.List[700]; got.Hint != "do it" || len(got.Text) != problem.KeptText+len("…") || got.Source != "f" {
		t.Errorf("%+v", got)
	}
}

// TestFailed takes the hint of an error wherever it has it, and only once.
func TestFailed(t *testing.T) {
	for want, err := range map[string]error{
		"f:1: x":                                 errors.New("x"),
		"f:1: no number\nhint: write 7":          problem.Faultf("write 7", "no number"),
		"f:1: reading: no number\nhint: write 7": fmt.Errorf("reading: %w", problem.Faultf("write 7", "no number")),
		"f:1: y: no file\nhint: name one":        fmt.Errorf("y: %w", hint.New("no file", "name one")),
	} {
		var p problem.Problems
		p.Failed("f", 1, "", err)
		if got := p.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
