package benchrecord_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
)

var at = time.Date(2026, 5, 4, 3, 2, 1, 5, time.UTC)

func aHeader() benchrecord.Header {
	return benchrecord.Header{
		Program: "shoal 1", Commit: "abc", Go: "go1.26.8", Started: at,
		Machine: benchrecord.Machine{Host: "h", OS: "linux", Arch: "amd64", Kernel: "6.1", CPU: "model", Cores: 2, Memory: 1 << 30},
		Settings: benchrecord.Settings{
			Sizes: []int{10, 20}, Strategies: []string{"serial", "auto"}, Repeats: 3, Warmup: 1, Workers: 32,
			SerialMax: 200, Command: "echo {index}", Expect: "{index}\n", Limit: time.Minute,
			Fleet: &benchrecord.FleetSettings{Hosts: 20, Latency: 6 * time.Millisecond, MaxStartups: "150:30:200"},
		},
	}
}

func aPoint() benchrecord.Point {
	return benchrecord.Point{
		Strategy: "serial", Size: 2, Repeat: 1, Started: at, Wall: time.Second,
		CPUUser: 2, CPUSystem: 3, PeakRSS: 1 << 20,
		Outcomes: map[string]int{"ok": 1, "never_started": 1}, Reasons: map[string]int{"throttled": 1},
		Correct: 1, Complete: true,
		Samples: []benchrecord.Sample{{At: 1, CPU: 2, RSS: 3, Files: 4, Goroutines: 5}},
		Hosts: []benchrecord.HostTimes{
			{Index: 0, Outcome: "ok", Phases: benchrecord.Phases{fleet.PhaseDial: 7, fleet.PhaseRun: 9}},
			{Index: 1, Outcome: "never_started"},
		},
	}
}

// The format is a contract with later readers of the files.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	if err := errors.Join(benchrecord.WriteHeader(&out, aHeader()), benchrecord.WritePoint(&out, aPoint())); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"bench","format":1,"program":"shoal 1","commit":"abc","go":"go1.26.8","started":"2026-05-04T03:02:01.000000005Z",` +
		`"machine":{"host":"h","os":"linux","arch":"amd64","kernel":"6.1","cpu":"model","cores":2,"memory":1073741824},` +
		`"settings":{"sizes":[10,20],"strategies":["serial","auto"],"repeats":3,"warmup":1,"workers":32,"serial_max":200,` +
		`"command":"echo {index}","expect":"{index}\n",` +
		`"fleet":{"hosts":20,"latency_ns":6000000,"jitter_ns":0,"max_startups":"150:30:200"},"limit_ns":60000000000}}
{"type":"point","strategy":"serial","size":2,"repeat":1,"warmup":false,"started":"2026-05-04T03:02:01.000000005Z","wall_ns":1000000000,` +
		`"cpu_user_ns":2,"cpu_system_ns":3,"peak_rss":1048576,"outcomes":{"never_started":1,"ok":1},"reasons":{"throttled":1},` +
		`"correct":1,"complete":true,"samples":[{"at_ns":1,"cpu_ns":2,"rss":3,"files":4,"goroutines":5}],` +
		`"hosts":[{"i":0,"outcome":"ok","phases_ns":{"dial":7,"run":9}},{"i":1,"outcome":"never_started","phases_ns":{}}]}
`
	want = strings.ReplaceAll(want, "}\n\",", `}\n",`)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestRoundTrip(t *testing.T) {
	var out bytes.Buffer
	if err := errors.Join(benchrecord.WriteHeader(&out, aHeader()), benchrecord.WritePoint(&out, aPoint())); err != nil {
		t.Fatal(err)
	}
	out.WriteString("{\"type\":\"later\"}\n")
	header, point := aHeader(), aPoint()
	want := []benchrecord.Entry{{Header: &header}, {Point: &point}, {}}
	got, err := readAll(&out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func readAll(in *bytes.Buffer) (entries []benchrecord.Entry, err error) {
	for e, err := range benchrecord.Read(in) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func TestReadErrors(t *testing.T) {
	const header = `{"type":"bench","format":1}` + "\n"
	for _, c := range []struct {
		name, text string
		entries    int
		want       error
		says       string
	}{
		{"empty", "", 0, benchrecord.ErrNoHeader, "line 1: "},
		{"no JSON", "hello\n", 0, benchrecord.ErrNoHeader, "line 1: "},
		{"a point first", `{"type":"point"}` + "\n", 0, benchrecord.ErrNoHeader, "line 1: "},
		{"no format", `{"type":"bench"}` + "\n", 0, benchrecord.ErrNoHeader, "line 1: "},
		{"newer", `{"type":"bench","format":2}` + "\n", 0, benchrecord.ErrNewer, "line 1: "},
		{"newer later", header + `{"type":"bench","format":2}` + "\n", 1, benchrecord.ErrNewer, "line 2: "},
		{"torn header", `{"type":"bench","format":1}`, 0, benchrecord.ErrTorn, "line 1: "},
		{"torn point", header + `{"type":"point"`, 1, benchrecord.ErrTorn, "line 2: "},
		{"no JSON later", header + "hello\n", 1, nil, "line 2: decoding: "},
		{"wrong type", header + `{"type":"point","size":"x"}` + "\n", 1, nil, "line 2: decoding: "},
		{"unknown phase", header + `{"type":"point","hosts":[{"phases_ns":{"nap":1}}]}` + "\n", 1, nil, `unknown phase "nap"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, err := readAll(bytes.NewBufferString(c.text))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
			if len(entries) != c.entries {
				t.Errorf("%d entries before it, want %d", len(entries), c.entries)
			}
		})
	}
}

type fullDisk struct{}

func (fullDisk) Write(p []byte) (int, error) { return len(p) / 2, errors.New("full") }

func TestWriteErrors(t *testing.T) {
	if err := benchrecord.WritePoint(fullDisk{}, aPoint()); err == nil || err.Error() != "writing a bench record: full" {
		t.Errorf("got %v", err)
	}
}

// FuzzRead writes what it could read, and must read the same again.
func FuzzRead(f *testing.F) {
	var out bytes.Buffer
	_ = benchrecord.WriteHeader(&out, aHeader())
	_ = benchrecord.WritePoint(&out, aPoint())
	f.Add(out.Bytes())
	f.Add([]byte(`{"type":"bench","format":1}` + "\n" + `{"type":"point","hosts":[{"phases_ns":{"dial":-1}}]}` + "\n"))
	f.Add([]byte("{\"type\":\"bench\",\"format\":1,\"started\":\"0000-01-01T00:00:00Z\"}\n{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := readAll(bytes.NewBuffer(text))
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("the error has several lines: %q", err)
		}
		for _, e := range entries {
			var first, second bytes.Buffer
			write(t, &first, e)
			again, err := readAll(bytes.NewBuffer(first.Bytes()))
			if err != nil {
				t.Fatalf("%v: %q", err, first.Bytes())
			}
			write(t, &second, again[len(again)-1])
			if !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Fatalf("%q became %q", first.Bytes(), second.Bytes())
			}
		}
	})
}

// write writes e as the last line of a record.
func write(t *testing.T, out *bytes.Buffer, e benchrecord.Entry) {
	t.Helper()
	var err error
	switch {
	case e.Header != nil:
		err = benchrecord.WriteHeader(out, *e.Header)
	case e.Point != nil:
		err = errors.Join(benchrecord.WriteHeader(out, benchrecord.Header{}), benchrecord.WritePoint(out, *e.Point))
	default:
		err = benchrecord.WriteHeader(out, benchrecord.Header{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
