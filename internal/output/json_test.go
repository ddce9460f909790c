package output

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"shoal/record"
)

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	var sum record.Summary
	j, err := NewJSON(&b, record.Header{Run: "r1"}, &sum)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range everyEnd() {
		sum.Add(r)
		if err := j.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	sum.Elapsed = second
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	results := 0
	for e, err := range record.Read(&b) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Header != nil && e.Header.Run != "r1":
			t.Errorf("%+v", e.Header)
		case e.Result != nil:
			want := everyEnd()[results]
			if e.Result.Outcome != want.Outcome || !bytes.Equal(e.Result.Stdout.Bytes, want.Stdout.Bytes) {
				t.Errorf("%+v", e.Result)
			}
			results++
		case e.Summary != nil && (e.Summary.Outcomes != sum.Outcomes || e.Summary.Elapsed != second):
			t.Errorf("%+v", e.Summary)
		}
	}
	if results != len(everyEnd()) {
		t.Errorf("%d results", results)
	}
	if _, err := NewJSON(&failing{err: syscall.EPIPE}, record.Header{}, &sum); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
}
