package simfleet

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/fleet"
)

// TestOracleIsToldBeforeTheAnswer asserts that an exec which the client knows
// to be accepted has been told of, and is told of again when it has ended.
func TestOracleIsToldBeforeTheAnswer(t *testing.T) {
	var mu sync.Mutex
	var told []Exec
	f := startFleet(t, Options{Hosts: 1, DiscardLog: true, Oracle: func(e Exec) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e)
	}})
	channel, requests := startExec(t, dialSSH(t, f, 0), "cat; exit 7")
	mu.Lock()
	first := slices.Clone(told)
	mu.Unlock()
	if len(first) != 1 || !first[0].Accepted || !first[0].Ended.IsZero() || first[0].Command != "cat; exit 7" {
		t.Errorf("before the end it was told %+v, want one exec under way", first)
	}
	if _, err := io.WriteString(channel, "bytes"); err != nil {
		t.Fatal(err)
	}
	_ = channel.CloseWrite()
	_, _ = io.ReadAll(channel)
	for range requests {
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 {
		t.Fatalf("it was told %d times, want 2", len(told))
	}
	want := first[0]
	want.Ended = told[1].Ended
	want.wrote("bytes", "")
	want.HasStatus, want.Status = true, 7
	if diff := cmp.Diff(want, told[1]); diff != "" || told[1].Ended.Before(want.Received) {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if log := f.Log(); log != nil {
		t.Errorf("a discarded log has %+v", log)
	}
}

// TestCountedCountsWhatWasTaken asserts that bytes which did not get out are not
// in the log.
func TestCountedCountsWhatWasTaken(t *testing.T) {
	var got bytes.Buffer
	c := &counted{w: &got}
	_, _ = c.Write([]byte("whole "))
	c.w = &half{&got}
	if n, err := c.Write([]byte("half gone")); n != 4 || err == nil {
		t.Errorf("half a write gave %d, %v", n, err)
	}
	if want := WrittenOf([]byte("whole half")); c.written() != want || got.String() != "whole half" {
		t.Errorf("counted %v of %q, want %v", c.written(), got.String(), want)
	}
	if got := (&counted{}).written(); got != WrittenOf(nil) {
		t.Errorf("nothing is counted as %v, want %v", got, WrittenOf(nil))
	}
}

// TestPrefixes asserts that any piece by piece writing keeps the same, and that
// what is kept tells a beginning from other bytes at every length.
func TestPrefixes(t *testing.T) {
	text := make([]byte, 2*PrefixSize+100)
	for i := range text {
		text[i] = byte(i ^ i>>8 ^ i>>16)
	}
	whole := PrefixOf(text)
	want := Prefix{
		Head:    text[:PrefixSize],
		Digests: []Digest{sha256.Sum256(text[:PrefixSize]), sha256.Sum256(text[:2*PrefixSize])},
	}
	if !reflect.DeepEqual(whole, want) {
		t.Fatalf("%d bytes and %d digests, or others, want %d and %d", len(whole.Head), len(whole.Digests), PrefixSize, 2)
	}
	c := &counted{w: io.Discard, room: new(atomic.Int64)}
	c.room.Store(3 * PrefixSize)
	for left := text; len(left) > 0; {
		n := min(len(left), 32<<10+1)
		_, _ = c.Write(left[:n])
		left = left[n:]
	}
	if !reflect.DeepEqual(c.prefix, whole) || c.written() != WrittenOf(text) || c.room.Load() != 2*PrefixSize {
		t.Errorf("in pieces: %d bytes and %d digests, or others, and room for %d more", len(c.prefix.Head), len(c.prefix.Digests), c.room.Load())
	}
	bare := Prefix{Digests: whole.Digests} // of a fleet that has kept too much
	for _, test := range []struct {
		prefix    Prefix
		length    int
		all       bool // every byte is compared
		unnoticed int  // a byte that may be changed unnoticed; -1: none
	}{
		{whole, 0, true, -1},
		{whole, 1, true, -1},
		{whole, PrefixSize, true, -1},
		{whole, PrefixSize + 1, false, PrefixSize},
		{whole, 2 * PrefixSize, true, -1},
		{whole, 2*PrefixSize + 99, false, 2 * PrefixSize},
		{whole, len(text), true, -1},
		{bare, PrefixSize - 1, false, 0},
		{bare, PrefixSize, true, -1},
		{bare, len(text), true, -1},
	} {
		got := bytes.Clone(text[:test.length])
		if same, all := test.prefix.begins(got, WrittenOf(text)); !same || all != test.all {
			t.Errorf("the first %d bytes: same %v, all %v, want true, %v", test.length, same, all, test.all)
		}
		for _, at := range []int{0, test.length / 2, test.length - 1} {
			if at < 0 || at >= len(got) || test.unnoticed >= 0 && at >= test.unnoticed {
				continue
			}
			got[at]++
			if same, _ := test.prefix.begins(got, WrittenOf(text)); same {
				t.Errorf("the first %d bytes with byte %d changed are taken for the same", test.length, at)
			}
			got[at]--
		}
	}
	if same, _ := whole.begins(append(bytes.Clone(text), 0), WrittenOf(text)); same {
		t.Error("more than was written is taken for a beginning of it")
	}
}

// execs returns logs as a fleet makes them.
func execs() *rapid.Generator[[]Exec] {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	})
	one := rapid.Custom(func(t *rapid.T) Exec {
		e := Exec{
			Index: rapid.IntRange(0, MaxHosts-1).Draw(t, "index"), Host: rapid.String().Draw(t, "host"),
			Conn:     rapid.Uint64().Draw(t, "conn"),
			Command:  string(rapid.SliceOf(rapid.Byte()).Draw(t, "command")),
			Received: moment.Draw(t, "received"), Accepted: rapid.Bool().Draw(t, "accepted"),
		}
		if rapid.Bool().Draw(t, "ended") {
			e.Ended = moment.Draw(t, "ended")
			e.Stdout = WrittenOf(rapid.SliceOf(rapid.Byte()).Draw(t, "stdout"))
			e.Stderr = Written{Size: rapid.Int64Min(0).Draw(t, "stderr")}
			e.Prefixes[fleet.Stdout] = Prefix{Digests: []Digest{sha256.Sum256(rapid.SliceOf(rapid.Byte()).Draw(t, "digest"))}}
			e.Prefixes[fleet.Stderr] = Prefix{Head: rapid.SliceOfN(rapid.Byte(), 1, -1).Draw(t, "head")}
			if e.HasStatus = rapid.Bool().Draw(t, "has status"); e.HasStatus {
				e.Status = rapid.Uint32().Draw(t, "status")
			}
			e.Signal = rapid.String().Draw(t, "signal")
		}
		return e
	})
	return rapid.Custom(func(t *rapid.T) []Exec {
		log := rapid.SliceOf(one).Draw(t, "log")
		for i := range log {
			log[i].ID = uint64(i + 1)
		}
		return log
	})
}

func TestLogRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := execs().Draw(t, "log")
		var file bytes.Buffer
		if err := WriteLog(&file, want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadLog(&file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(l []Exec) []Exec { return append([]Exec{}, l...) })); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

// TestLogOfAKilledRun cuts a log that grew by two lines per exec at every byte:
// what is whole is read, and an exec without its second line is under way.
func TestLogOfAKilledRun(t *testing.T) {
	var file bytes.Buffer
	w := NewLogWriter(&file)
	started := Exec{ID: 1, Host: "127.1.0.1", Conn: 1, Command: "a", Accepted: true, Received: time.Unix(1, 0).UTC()}
	other := Exec{ID: 2, Host: "127.1.0.2", Index: 1, Conn: 2, Command: "b", Received: time.Unix(2, 0).UTC()}
	done := started
	done.Ended, done.HasStatus, done.Stdout, done.Stderr = time.Unix(3, 0).UTC(), true, WrittenOf([]byte("x")), WrittenOf(nil)
	var ends []int
	for _, e := range []Exec{started, other, done} {
		w.Record(e)
		ends = append(ends, file.Len())
	}
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	for n := range file.Len() + 1 {
		got, err := ReadLog(bytes.NewReader(file.Bytes()[:n]))
		var want []Exec
		switch {
		case n >= ends[2]:
			want = []Exec{done, other}
		case n >= ends[1]:
			want = []Exec{started, other}
		case n >= ends[0]:
			want = []Exec{started}
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("cut at %d: %v (-want +got):\n%s", n, err, diff)
		}
	}
}

func TestReadLogRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"nonsense":                                                                "line 1: invalid character",
		`{"event":"dreamt","id":1}`:                                               `unknown event "dreamt"`,
		`{"event":"ended","id":1}`:                                                "without its time or its streams",
		`{"event":"started","encoding":"x"}`:                                      `unknown encoding "x"`,
		`{"event":"started","encoding":"base64","command":"!"}`:                   "decoding the command",
		`{"event":"ended","stdout":{"size":1,"sha256":"00"}}`:                     "2 characters, want 64",
		`{"event":"ended","stdout":{"sha256":"` + strings.Repeat("z", 64) + `"}}`: "decoding a SHA-256",
	} {
		if _, err := ReadLog(strings.NewReader(line + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestLogWriterKeepsItsFirstFailure(t *testing.T) {
	w := NewLogWriter(brokenWriter{})
	w.Record(Exec{ID: 1})
	first := w.Err()
	w.Record(Exec{ID: 2})
	if first == nil || !errors.Is(w.Err(), first) {
		t.Errorf("the failures are %v and %v, want one", first, w.Err())
	}
	if err := WriteLog(brokenWriter{}, []Exec{{ID: 1}}); err == nil {
		t.Error("WriteLog was content")
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte(`{"event":"started","id":1,"host":"127.1.0.1","conn":1,"command":"true","received":"2026-01-01T00:00:00Z","accepted":true}` + "\n"))
	f.Add([]byte(`{"event":"started","id":1,"encoding":"base64","command":"/w=="}` + "\n{}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		log, err := ReadLog(bytes.NewReader(file))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteLog(&again, log); err != nil {
			return // a time that JSON cannot hold
		}
		got, err := ReadLog(&again)
		if diff := cmp.Diff(log, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
