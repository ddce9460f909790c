package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"shoal/fleet"
)

const (
	headerText  = `{"type":"run","format":1}` + "\n"
	resultText  = `{"type":"result","index":7,"host":"node7","outcome":"ok"}` + "\n"
	summaryText = `{"type":"summary","outcomes":{"ok":1},"elapsed_ns":5}` + "\n"
)

// told summarises what a loop over Read yields.
func told(r io.Reader, maxLine int) (types []string, errs []error) {
	for e, err := range read(r, maxLine) {
		if err != nil {
			errs = append(errs, err)
			types = append(types, "error")
			continue
		}
		types = append(types, e.Type)
	}
	return types, errs
}

func TestReadTolerates(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"whole":             {headerText + resultText + summaryText, "run result summary"},
		"killed":            {headerText + resultText, "run result"},
		"unknown type":      {headerText + `{"type":"heartbeat"}` + "\n" + resultText, "run heartbeat result"},
		"unknown field":     {headerText + `{"new":[{}],"type":"result","outcome":"ok"}` + "\n", "run result"},
		"unknown reason":    {headerText + `{"type":"result","outcome":"never_started","reason":"new_one"}` + "\n", "run result"},
		"two streams":       {headerText + summaryText + headerText + resultText, "run summary run result"},
		"spoilt line":       {headerText + "{\n" + resultText, "run error result"},
		"spoilt outcome":    {headerText + `{"type":"result","outcome":"good"}` + "\n" + resultText, "run error result"},
		"not Unicode":       {headerText + "{\"type\":\"\xff\"}\n" + resultText, "run error result"},
		"torn, appended to": {headerText + resultText[:20] + headerText + resultText, "run error run result"},
		"torn twice":        {headerText + resultText[:20] + headerText[:18] + "\n" + resultText, "run error error"},
		"newer one behind":  {headerText + `{"type":"run","format":2}` + "\n" + resultText, "run error"},
	} {
		types, _ := told(strings.NewReader(c.in), MaxLine)
		if got := strings.Join(types, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		is   error
		text string
	}{
		"empty":     {"", ErrNoHeader, "line 1: not a stream of results: it is empty"},
		"no header": {resultText, ErrNoHeader, "line 1: not a stream of results"},
		"no JSON":   {"hello\n", ErrNoHeader, "line 1: not a stream of results"},
		"no format": {`{"type":"run"}` + "\n", ErrNoHeader, "line 1: not a stream of results: the header has no format"},
		"newer": {
			`{"type":"run","format":2,"run":[]}` + "\n", ErrNewer,
			"line 1: the stream is of a newer format: format 2, and 1 is the newest known here",
		},
		"torn":       {headerText + resultText + resultText[:20], ErrTorn, "line 3: the last line is torn"},
		"torn whole": {headerText + strings.TrimSuffix(resultText, "\n"), ErrTorn, "line 2: the last line is torn"},
		"torn first": {headerText[:5], ErrTorn, "line 1: the last line is torn"},
		"too long": {
			headerText + `{"type":"` + strings.Repeat("x", 200) + `"}` + "\n" + resultText, ErrLineTooLong,
			"line 2: line too long: over 100 bytes",
		},
		"phase": {headerText + `{"type":"result","outcome":"ok","took_ns":{"x":1}}` + "\n", nil, `line 2: unknown phase "x"`},
	} {
		_, errs := told(strings.NewReader(c.in), 100)
		if len(errs) != 1 || c.is != nil && !errors.Is(errs[0], c.is) || errs[0].Error() != c.text {
			t.Errorf("%s: %q, want %s", name, errs, c.text)
		}
	}
}

func TestReadPassesOnItsReadersError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(headerText+resultText[:9]), iotest.ErrReader(io.ErrNoProgress))
	types, errs := told(broken, MaxLine)
	if fmt.Sprint(types) != "[run error]" || !errors.Is(errs[0], io.ErrNoProgress) {
		t.Errorf("%v, %v", types, errs)
	}
}

// faults.md: S10
func TestReadLinesLongerThanItsBuffer(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, header)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 64 << 10, 300_000, 1}
	for _, n := range sizes {
		r := fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK}}
		r.Stdout = fleet.Output{Bytes: bytes.Repeat([]byte("é"), n), Size: int64(2 * n)}
		if err := w.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	i := -1
	for e, err := range Read(iotest.HalfReader(&b)) {
		if err != nil {
			t.Fatal(err)
		}
		if i >= 0 && string(e.Result.Stdout.Bytes) != strings.Repeat("é", sizes[i]) {
			t.Errorf("%d: other bytes came back", sizes[i])
		}
		i++
	}
	if i != len(sizes) {
		t.Errorf("%d results, want %d", i, len(sizes))
	}
}

func TestReadStopsWithItsLoop(t *testing.T) {
	r := strings.NewReader(headerText + strings.Repeat(resultText, 100_000))
	for _, err := range Read(r) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if r.Len() < len(resultText)*90_000 {
		t.Errorf("read on to %d bytes before the end", r.Len())
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(headerText + resultText + summaryText))
	f.Add([]byte(headerText + resultText[:30]))
	f.Add([]byte(headerText + `{"type":"result","outcome":"ok","stdout":"/w==","stdout_encoding":"base64"}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for e, err := range read(bytes.NewReader(in), 1<<16) {
			if err != nil || e.Result == nil {
				continue
			}
			// A decoded result is encoded and decoded again.
			again, files, err := decodeResult(appendResult(nil, e.Result, e.Files))
			if err != nil || files != e.Files || again.Target != e.Result.Target ||
				!bytes.Equal(again.Stdout.Bytes, e.Result.Stdout.Bytes) && e.Files[fleet.Stdout] == "" {
				t.Fatalf("%+v became %+v, %v", e.Result, again, err)
			}
		}
	})
}

// A flag of a newer program is a fact that an older one does not know: it is left out of a
// stream, and refused where a run is resumed by it.
func TestUnknownFlag(t *testing.T) {
	const result = `{"type":"result","outcome":"ok","flags":["exit_known","odd"],"stdout_size":0,"stderr_size":0}`
	for e, err := range Read(strings.NewReader(headerText + result + "\n")) {
		if err != nil || e.Result != nil && e.Result.Flags != fleet.FlagExitKnown {
			t.Errorf("%+v, %v", e.Result, err)
		}
	}
	if _, err := DecodeEnd([]byte(result)); err == nil {
		t.Error("DecodeEnd takes it")
	}
}
