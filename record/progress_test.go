package record_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/record"
)

func TestProgress(t *testing.T) {
	left, quiet := 3*time.Second, time.Second
	full := record.Progress{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC), Elapsed: 10 * time.Second, Targets: 20, Done: 12,
		Outcomes: [fleet.NumOutcomes]int{fleet.OutcomeOK: 11, fleet.OutcomeNeverStarted: 1},
		Active:   map[string]int{"running": 2, "connecting": 0}, Waiting: 6, Rate: 1.25, Left: &left, Stopping: true,
		Stage: &record.Stage{Number: 2, Stages: 3, Targets: 10, Next: time.Second}, Median: time.Second, Slow: 1,
		Oldest: []record.InFlight{
			{Index: 3, Host: "web\x1b\xff", Attempt: 1, Phase: fleet.PhaseRun, Age: 9 * time.Second, Quiet: &quiet},
			{Index: 4, Host: "db1", Attempt: 2, Phase: fleet.PhaseKex, Age: time.Second},
		},
		Final: true,
	}
	for _, c := range []struct {
		p    record.Progress
		line string
	}{
		{record.Progress{Time: full.Time}, `{"type":"progress","time":"2026-01-02T03:04:05.678Z","elapsed_ns":0,"done":0,"outcomes":{},"rate":0.000}`},
		{full, `{"type":"progress","time":"2026-01-02T03:04:05.678Z","elapsed_ns":10000000000,"targets":20,"done":12,` +
			`"outcomes":{"never_started":1,"ok":11},"active":{"connecting":0,"running":2},"waiting":6,"rate":1.250,"left_ns":3000000000,` +
			`"stopping":true,"stage":{"number":2,"stages":3,"targets":10,"next_ns":1000000000},"median_ns":1000000000,"slow":1,` +
			`"oldest":[{"index":3,"host":"d2ViG/8=","host_encoding":"base64","attempt":1,"phase":"run","age_ns":9000000000,"quiet_ns":1000000000},` +
			`{"index":4,"host":"db1","attempt":2,"phase":"kex","age_ns":1000000000}],"final":true}`},
	} {
		line, err := record.AppendProgress(nil, c.p)
		if err != nil {
			t.Fatal(err)
		}
		if string(line) != c.line+"\n" {
			t.Errorf("got  %swant %s", line, c.line)
		}
		back, err := record.DecodeProgress(line)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, c.p) {
			t.Errorf("got  %+v\nwant %+v", back, c.p)
		}
	}
}

func TestDecodeOtherThanProgress(t *testing.T) {
	for _, line := range []string{
		``, `{}`, `{"type":"result"}`, `{"type":"progress","outcomes":{"fine":1}}`, `{"type":"progress","oldest":[{"phase":"x"}]}`,
		`{"type":"progress","oldest":[{"phase":"run","host":"?","host_encoding":"base64"}]}`,
	} {
		if p, err := record.DecodeProgress([]byte(line)); err == nil || !strings.HasPrefix(err.Error(), "decoding progress: ") {
			t.Errorf("%s: %+v, %v", line, p, err)
		}
	}
}
