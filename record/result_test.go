package record

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/fleet"
)

func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
}

func anyOutput() *rapid.Generator[fleet.Output] {
	return rapid.Custom(func(t *rapid.T) fleet.Output {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		return fleet.Output{Bytes: b, Size: int64(len(b)) + rapid.Int64Range(0, math.MaxInt32).Draw(t, "more")}
	})
}

func anyResult() *rapid.Generator[fleet.Result] {
	return rapid.Custom(func(t *rapid.T) fleet.Result {
		r := fleet.Result{
			Target: fleet.Target{
				Host:    fleet.Host{Name: anyText().Draw(t, "host"), Port: rapid.Uint16().Draw(t, "host port"), User: anyText().Draw(t, "host user")},
				Index:   rapid.IntMin(0).Draw(t, "index"),
				User:    anyText().Draw(t, "user"),
				Port:    rapid.Uint16().Draw(t, "port"),
				Command: anyText().Draw(t, "command"),
			},
			End: fleet.End{
				Outcome: fleet.Outcome(rapid.IntRange(0, int(fleet.NumOutcomes)-1).Draw(t, "outcome")),
				Reason:  fleet.Reason(anyText().Draw(t, "reason")),
				Phase:   fleet.Phase(rapid.IntRange(0, int(fleet.NumPhases)-1).Draw(t, "phase")),
				Flags:   fleet.Flags(rapid.IntRange(0, 7).Draw(t, "flags")),
				Status:  rapid.Uint32().Draw(t, "status"),
				Signal:  anyText().Draw(t, "signal"),
			},
			Attempt: rapid.IntRange(0, 9).Draw(t, "attempt"),

			BecomeOutput: anyText().Draw(t, "become output"),
			Stdout:       anyOutput().Draw(t, "stdout"),
			Stderr:       anyOutput().Draw(t, "stderr"),
		}
		if rapid.Bool().Draw(t, "started") {
			r.Started = time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		}
		if rapid.Bool().Draw(t, "error") {
			r.Err = errors.New(anyText().Draw(t, "cause"))
		}
		for p := range r.Took {
			r.Took[p] = time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "took"))
		}
		return r
	})
}

// faults.md: S10
func TestAnyResultComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyResult().Draw(t, "result")
		files := Files{rapid.SampledFrom([]string{"", "a.out", "\xff"}).Draw(t, "file"), ""}
		line := appendResult(nil, &want, files)
		if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("not one line: %q", line)
		}
		if err := checkUnicode(line); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		got, gotFiles, err := decodeResult(line)
		if err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if files[0] != "" {
			want.Stdout.Bytes = nil
		}
		if diff := cmp.Diff(&want, got, sameResults); diff != "" || gotFiles != files {
			t.Fatalf("-want +got:\n%s\nfiles %q, want %q", diff, gotFiles, files)
		}
	})
}

// Without target and output, a result is still the same result.
func TestAnyEndComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyResult().Draw(t, "result")
		object := AppendEnd(nil, &want)
		if bytes.Contains(object, []byte("\n")) {
			t.Fatalf("not one line: %q", object)
		}
		got, err := DecodeEnd(object)
		if err != nil {
			t.Fatalf("%v: %q", err, object)
		}
		want.Target, want.Stdout.Bytes, want.Stderr.Bytes = fleet.Target{}, nil, nil
		if diff := cmp.Diff(&want, got, sameResults); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
	for _, bad := range []string{"", "{", `{"type":"result"}`, `{"outcome":"ok","error":"\ud800"}`, "{\"outcome\":\"ok\",\"error\":\"\xff\"}", `{"outcome":"later"}`} {
		if r, err := DecodeEnd([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, r)
		}
	}
}
