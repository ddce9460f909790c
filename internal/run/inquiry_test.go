package run

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/journal"
)

// An inquiry holds no output, and can load that of one target.
func TestInquiryHoldsNoOutput(t *testing.T) {
	j, err := journal.Open(t.Context(), t.TempDir(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	var targets []fleet.Target
	for i := range 3 {
		targets = append(targets, fleet.Target{Host: fleet.Host{Name: fmt.Sprint("h", i)}, Index: i, Command: "true"})
	}
	r, err := j.Begin(t.Context(), journal.RunInfo{Options: Remote{Once: true, key: newKey()}.options()}, slices.Values(targets))
	if err != nil {
		t.Fatal(err)
	}
	text := func(i int) string { return strings.Repeat(fmt.Sprintln(i), 1000) }
	for i, target := range targets {
		res := fleet.Result{Target: target, Attempt: 1, End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Phase: fleet.PhaseRun}}
		res.Stdout = fleet.Output{Bytes: []byte(text(i)), Size: int64(len(text(i)))}
		if err := r.Intend(i, 1, netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
		if err := r.Result(res); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.End(journal.Ending{Interrupted: true}); err != nil {
		t.Fatal(err)
	}
	info, _, err := ReadMarked(t.Context(), j, "last")
	if err != nil {
		t.Fatal(err)
	}
	q, err := Inquire(t.Context(), j, info, Unresolved)
	if err != nil || len(q.asked) != len(targets) {
		t.Fatalf("%d asked, %v", len(q.asked), err)
	}
	for i := range q.asked {
		e := q.asked[i].entry
		if e.Stdout.Bytes != nil || e.Stdout.Size != int64(len(text(i))) {
			t.Errorf("target %d: %d bytes of output are held of %d", i, len(e.Stdout.Bytes), e.Stdout.Size)
		}
		if err := j.LoadOutput(t.Context(), &e); err != nil || string(e.Stdout.Bytes) != text(i) {
			t.Errorf("target %d: loaded %.20q, %v", i, e.Stdout.Bytes, err)
		}
	}
	if err := q.End(0); err != nil {
		t.Error(err)
	}
}

// Where none of the selected targets can be asked, nobody is, and that is no error.
func TestResolveOfNobody(t *testing.T) {
	j, err := journal.Open(t.Context(), t.TempDir(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	target := fleet.Target{Host: fleet.Host{Name: "h"}, Command: "true"}
	r, err := j.Begin(t.Context(), journal.RunInfo{Options: Remote{Once: true, key: newKey()}.options()}, slices.Values([]fleet.Target{target}))
	if err != nil {
		t.Fatal(err)
	}
	lost := fleet.Result{Target: target, Attempt: 1, End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInternal}}
	if err := errors.Join(r.Result(lost), r.End(journal.Ending{})); err != nil {
		t.Fatal(err)
	}
	info, _, err := ReadMarked(t.Context(), j, "last")
	if err != nil {
		t.Fatal(err)
	}
	q, err := Inquire(t.Context(), j, info, Unresolved)
	if err != nil || q.Mute != 1 || len(q.Targets) != 0 {
		t.Fatalf("%d cannot be asked, %d can, %v", q.Mute, len(q.Targets), err)
	}
	for r, err := range q.Resolve(t.Context()) {
		t.Errorf("%+v, %v", r, err)
	}
	if err := q.End(0); err != nil {
		t.Error(err)
	}
}
