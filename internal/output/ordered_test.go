package output

import (
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrdered(t *testing.T) {
	boom := errors.New("boom")
	to := &took{fail: map[int]error{2: boom}, atClose: syscall.EPIPE}
	o := NewOrdered(to, nil)
	for _, step := range []struct {
		index int
		want  []int
		err   error
	}{
		{1, nil, nil},
		{2, nil, nil},
		{0, []int{0, 1, 2}, boom},
		{3, []int{0, 1, 2, 3}, nil},
		{1, []int{0, 1, 2, 3, 1}, nil}, // late
		{7, []int{0, 1, 2, 3, 1}, nil},
		{7, []int{0, 1, 2, 3, 1, 7}, nil}, // twice
		{5, []int{0, 1, 2, 3, 1, 7}, nil},
	} {
		err := o.Result(ok(step.index, ""))
		if !errors.Is(err, step.err) || (err == nil) != (step.err == nil) || !cmp.Equal(to.indexes, step.want) {
			t.Errorf("after %d: %v, %v", step.index, to.indexes, err)
		}
	}
	if err := o.Close(); !errors.Is(err, syscall.EPIPE) || to.closed != 1 {
		t.Errorf("closed %d times: %v", to.closed, err)
	}
	if !cmp.Equal(to.indexes, []int{0, 1, 2, 3, 1, 7, 5, 7}) || len(o.held) != 0 {
		t.Errorf("%v", to.indexes)
	}
}

// The targets of a resumed run keep their indexes, and results in order are passed on at
// once.
func TestOrderedByIndexes(t *testing.T) {
	to := new(took)
	o := NewOrdered(to, []int{5, 6, 8, 9})
	for _, step := range []struct {
		index int
		want  []int
	}{
		{5, []int{5}},
		{8, []int{5}},
		{6, []int{5, 6, 8}},
		{7, []int{5, 6, 8, 7}}, // not announced, but not lost
		{9, []int{5, 6, 8, 7, 9}},
		{9, []int{5, 6, 8, 7, 9, 9}}, // twice
	} {
		if err := o.Result(ok(step.index, "")); err != nil || !cmp.Equal(to.indexes, step.want) {
			t.Errorf("after %d: %v, want %v (%v)", step.index, to.indexes, step.want, err)
		}
	}
	if len(o.held) != 0 {
		t.Errorf("%d results are held", len(o.held))
	}
}
