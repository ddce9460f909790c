package problem_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shoal/hosts/internal/problem"
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

func TestHintOf(t *testing.T) {
	fault := problem.Faultf("write %d", "no number")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {errors.New("x"), ""}, {fault, "write %d"}, {fmt.Errorf("reading: %w", fault), "write %d"},
	} {
		if got := problem.HintOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
