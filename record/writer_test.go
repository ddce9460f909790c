package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"syscall"
	"testing"

	"shoal/fleet"
)

// calls records the data of each Write; the write number fail fails.
type calls struct {
	lines [][]byte
	fail  int
	err   error
	short bool
}

func (c *calls) Write(p []byte) (int, error) {
	c.lines = append(c.lines, bytes.Clone(p))
	if len(c.lines) != c.fail {
		return len(p), nil
	}
	if c.short {
		return len(p) - 1, c.err
	}
	return 0, c.err
}

func TestOneWritePerLine(t *testing.T) {
	c := &calls{}
	w, err := NewWriter(c, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range examples() {
		if err := w.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(Summary{}); err != nil {
		t.Fatal(err)
	}
	if len(c.lines) != len(examples())+2 {
		t.Errorf("%d writes", len(c.lines))
	}
	for _, line := range c.lines {
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("not one line: %q", line)
		}
	}
	if err := w.Result(fleet.Result{}); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestNothingFollowsATornLine(t *testing.T) {
	for name, c := range map[string]struct {
		calls calls
		want  error
	}{
		"EPIPE":       {calls{fail: 2, err: syscall.EPIPE}, syscall.EPIPE},
		"ENOSPC":      {calls{fail: 2, err: syscall.ENOSPC, short: true}, syscall.ENOSPC},
		"short write": {calls{fail: 2, short: true}, io.ErrShortWrite},
	} {
		w, err := NewWriter(&c.calls, header)
		if err != nil {
			t.Fatal(err)
		}
		first := w.Result(fleet.Result{})
		if !errors.Is(first, c.want) || first.Error() != "writing the result stream: "+c.want.Error() {
			t.Errorf("%s: %v", name, first)
		}
		if again := w.Result(fleet.Result{}); !errors.Is(again, first) {
			t.Errorf("%s: then %v", name, again)
		}
		if again := w.Close(Summary{}); !errors.Is(again, first) {
			t.Errorf("%s: at Close %v", name, again)
		}
		if len(c.calls.lines) != 2 {
			t.Errorf("%s: %d writes", name, len(c.calls.lines))
		}
	}
	if _, err := NewWriter(&calls{fail: 1, err: syscall.EPIPE}, header); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("header: %v", err)
	}
}

func TestALargeLineIsNotKept(t *testing.T) {
	w, err := NewWriter(io.Discard, header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Result(fleet.Result{Stdout: fleet.Output{Bytes: make([]byte, maxBuffer)}}); err != nil {
		t.Fatal(err)
	}
	if cap(w.buf) > maxBuffer {
		t.Errorf("keeps %d bytes", cap(w.buf))
	}
}

func BenchmarkResult(b *testing.B) {
	small := examples()[0]
	big := small
	big.Stdout.Bytes = bytes.Repeat([]byte("drwxr-xr-x 2 root root 4096 Jan  1 00:00 directory\n"), 20_000)
	for _, c := range []struct {
		name string
		r    fleet.Result
	}{{"small", small}, {"1MB", big}} {
		b.Run(c.name, func(b *testing.B) {
			w, err := NewWriter(io.Discard, header)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Result(c.r); err != nil {
					b.Fatal(err)
				}
			}
		})
		// The alternative, encoding/json, on the same fields.
		b.Run(c.name+"/encodingjson", func(b *testing.B) {
			var l resultLine
			if err := json.Unmarshal(appendResult(nil, &c.r, Files{}), &l); err != nil {
				b.Fatal(err)
			}
			enc := json.NewEncoder(io.Discard)
			enc.SetEscapeHTML(false)
			b.ReportAllocs()
			for b.Loop() {
				l.Stdout = string(c.r.Stdout.Bytes)
				if err := enc.Encode(&l); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	r := examples()[0]
	stream := appendHeader(nil, header)
	for range 1000 {
		stream = appendResult(stream, &r, Files{})
	}
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		for _, err := range Read(bytes.NewReader(stream)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
