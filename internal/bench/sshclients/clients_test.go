package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"shoal/simfleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask runs a job as a child does.
func ask(t *testing.T, j job) (taken, error) {
	t.Helper()
	input, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := serveChild(t.Context(), bytes.NewReader(input), &out); err != nil {
		return taken{}, err
	}
	var got taken
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got, nil
}

// startSimulated returns a job for a simulated fleet, without its task.
func startSimulated(t *testing.T, hosts int) (*simfleet.Fleet, job) {
	t.Helper()
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: hosts, Seed: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	dir := t.TempDir()
	j := job{Kex: kexHybrid, User: "u", Key: filepath.Join(dir, "key"), KnownHosts: filepath.Join(dir, "known_hosts")}
	for path, write := range map[string]func(io.Writer) error{j.Key: f.WriteKey, j.KnownHosts: f.WriteKnownHosts} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range hosts {
		j.Hosts = append(j.Hosts, f.Host(i).String())
	}
	return f, j
}

// Every client makes the requested connections, and only those that end as
// expected are counted.
func TestConnect(t *testing.T) {
	for _, name := range []string{
		clientExpress, clientGoroutines, clientFirst, clientRun, clientCrypto, clientStandard, clientRunStd,
	} {
		t.Run(name, func(t *testing.T) {
			f, j := startSimulated(t, 3)
			j.Task, j.Client, j.State = taskConnect, name, t.TempDir()
			j.Command, j.Bytes, j.Connections, j.AtOnce = "echo hello", 6, 7, 2
			got, err := ask(t, j)
			if err != nil {
				t.Fatal(err)
			}
			if n := f.Stats().Execs; n != len(j.Hosts)+j.Connections {
				t.Errorf("%d commands ran, want %d", n, len(j.Hosts)+j.Connections)
			}
			if got.cpu() <= 0 || got.Wall <= 0 {
				t.Errorf("%v of CPU in %v", got.cpu(), got.Wall)
			}
			for _, c := range []string{"echo hell", "exit 3"} {
				j.Command = c
				if _, err := ask(t, j); err == nil {
					t.Errorf("%q counts as well done", c)
				}
			}
		})
	}
}

// Held connections are open when their memory is read.
func TestHold(t *testing.T) {
	for _, name := range []string{clientExpress, clientGoroutines, clientCrypto, clientStandard} {
		t.Run(name, func(t *testing.T) {
			f, j := startSimulated(t, 2)
			j.Task, j.Client, j.Command, j.Connections, j.AtOnce = taskHold, name, waiting, 60, 8
			got, err := ask(t, j)
			if err != nil {
				t.Fatal(err)
			}
			if n := f.Stats().PeakOpen; n < j.Connections {
				t.Errorf("%d connections were open at once, want %d", n, j.Connections)
			}
			if got.Open.Heap <= 0 || got.Open.Resident < got.Open.Heap || got.Swept.Goroutines < 1 {
				t.Errorf("%+v", got.Open)
			}
			if each := float64(got.Open.Goroutines-got.Before.Goroutines) / 60; name != clientExpress && each < 1 {
				t.Errorf("%.1f goroutines per connection", each)
			}
		})
	}
}

func TestFlights(t *testing.T) {
	_, j := startSimulated(t, 1)
	j.Task, j.Command, j.Bytes = taskFlights, "echo hello", 6
	trips := make(map[string]taken)
	for _, name := range []string{clientExpress, clientCrypto} {
		j.Client, j.State = name, t.TempDir()
		got, err := ask(t, j)
		if err != nil {
			t.Fatal(err)
		}
		trips[name] = got
	}
	fast, slow := trips[clientExpress], trips[clientCrypto]
	if fast.Remembered < 3 || fast.Remembered > fast.First || slow.Remembered <= fast.First {
		t.Errorf("express takes %d and then %d round trips, x/crypto/ssh %d", fast.First, fast.Remembered, slow.Remembered)
	}
}

// A burst is a round trip if it is answered.
func TestFlightCount(t *testing.T) {
	var f flightCount
	for _, c := range "wwrwrrww" {
		if c == 'w' {
			f.wrote()
		} else {
			f.read()
		}
	}
	if n := f.take(); n != 3 { // SYN, ww, w; the last is not answered
		t.Errorf("%d round trips, want 3", n)
	}
	if n := f.take(); n != 1 {
		t.Errorf("%d round trips without any traffic, want 1", n)
	}
}

func TestCryptography(t *testing.T) {
	times := make(map[string]taken)
	for _, kex := range []string{kexClassical, kexHybrid} {
		got, err := ask(t, job{Task: taskCrypto, Kex: kex, Connections: 50, AtOnce: 2})
		if err != nil {
			t.Fatal(err)
		}
		times[kex] = got
	}
	if times[kexHybrid].Wall <= 0 || times[kexClassical].Wall <= 0 {
		t.Errorf("%+v", times)
	}
}

// Ratios are computed within a repeat; the median is taken of them.
func TestRatio(t *testing.T) {
	s := series{
		"a": {{"cpu": 1}, {"cpu": 4}, {"cpu": 9}},
		"b": {{"cpu": 2}, {"cpu": 4}, {"cpu": 3}},
	}
	if got, want := s.ratio("a", "b", "cpu"), "1.00 (0.50–3.00)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := s.ratio("a", "none", "cpu"); got != "" {
		t.Errorf("%q for a client that had no turn", got)
	}
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	program := filepath.Join(t.TempDir(), "shoal")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := parseSettings([]string{"--shoal", program, "--quick", "--open", "7"})
	if err != nil {
		t.Fatal(err)
	}
	if s.repeats != 1 || s.open != 7 || fmt.Sprint(s.only) != "[cpu memory bulk flights]" {
		t.Errorf("%+v", s)
	}
	for _, args := range [][]string{{"--only", "gpu"}, {"--repeats", "0"}, {"more"}, {"--shoal", program + "x"}} {
		if _, err := parseSettings(append([]string{"--shoal", program}, args...)); err == nil {
			t.Errorf("%q is taken", strings.Join(args, " "))
		}
	}
}
