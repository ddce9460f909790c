package output

import (
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
)

func TestTee(t *testing.T) {
	one, two := errors.New("one"), &fleet.Error{Host: "node1", Phase: fleet.PhaseStore, Reason: fleet.ReasonStoreFailed, Err: syscall.ENOSPC}
	a := &took{fail: map[int]error{0: one}, atClose: one}
	b := &took{fail: map[int]error{0: two}}
	c := &took{}
	s := Multi(a, b, c)
	err := s.Result(ok(0, ""))
	if fe, ok := errors.AsType[*fleet.Error](err); !ok || fe != two || !errors.Is(err, one) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if err := s.Result(ok(1, "")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); !errors.Is(err, one) {
		t.Error(err)
	}
	for _, k := range []*took{a, b, c} {
		if !cmp.Equal(k.indexes, []int{0, 1}) || k.closed != 1 {
			t.Errorf("%+v", k)
		}
	}
}
