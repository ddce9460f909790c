package journal

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shoal/fleet"
)

var someSettings = Settings{
	Directory: "/home/\xffjo",
	Flags:     map[string][]string{"jump": {"root@bastion"}, "known-hosts": {"/a", "/b\xfe"}, "max-fail": {"1"}},
	Files:     []File{{FileConfig, "/home/jo/.ssh/config", "00ff"}, {FileIdentity, "/k\xff", ""}},
}

func TestSettingsComeBack(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	r := mustBegin(t, j, RunInfo{Settings: &someSettings}, targetsOf(2))
	without := mustBegin(t, j, RunInfo{}, targetsOf(1))
	check(t, errors.Join(r.End(Ending{}), without.End(Ending{})))
	info, err := j.Run(t.Context(), r.ID())
	check(t, err)
	if diff := cmp.Diff(&someSettings, info.Settings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := j.Run(t.Context(), without.ID()); err != nil || info.Settings != nil {
		t.Errorf("%+v %v", info, err)
	}
}

// Settings decide which targets a run has and how it is limited: a run whose settings were
// changed, removed or added is damaged, and settings of a newer program are refused.
func TestSettingsAreGuarded(t *testing.T) {
	for name, c := range map[string]struct {
		info   RunInfo
		change string
		want   error
	}{
		"changed":    {RunInfo{Settings: &someSettings}, `UPDATE runs SET settings = replace(settings, '"1"', '"9"')`, ErrDamaged},
		"taken away": {RunInfo{Settings: &someSettings}, `UPDATE runs SET settings = NULL`, ErrDamaged},
		"given":      {RunInfo{}, `UPDATE runs SET settings = '{"version":1}'`, ErrDamaged},
		"nonsense":   {RunInfo{}, `UPDATE runs SET settings = '{'`, ErrDamaged},
		"newer":      {RunInfo{}, `UPDATE runs SET settings = '{"version":2}'`, ErrNewer},
	} {
		j := mustOpen(t, t.TempDir(), Options{})
		r := mustBegin(t, j, c.info, targetsOf(1))
		check(t, r.End(Ending{}))
		_, err := j.write.Exec(c.change)
		check(t, err)
		if info, err := j.Run(t.Context(), r.ID()); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v %v", name, info, err)
		}
	}
}

// A route keeps what the inventory said. An unknown route, as of a target with an unusable
// configuration, is not that of a host reached by its name.
func TestRoutesAreKept(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	listed := &fleet.Route{Address: "10.0.0.1", Listed: "web", KeyFile: "~/key"}
	targets := []fleet.Target{
		{Host: fleet.Host{Name: "a"}, Route: listed},
		{Host: fleet.Host{Name: "b"}, Index: 1},
		{Host: fleet.Host{Name: "c"}, Index: 2, Route: &fleet.Route{}},
	}
	r := mustBegin(t, j, RunInfo{}, slices.Values(targets))
	check(t, r.End(Ending{}))
	got, err := j.Select(t.Context(), r.ID(), All)
	check(t, err)
	for i, want := range []*fleet.Route{listed, nil, {}} {
		if diff := cmp.Diff(want, got[i].Route); diff != "" {
			t.Errorf("target %d (-want +got):\n%s", i, diff)
		}
	}
}

// unpackSchema1 creates a state directory with a journal written by revision 8dce720: one
// run of five targets, "exit {index}", stopped by --fail-fast.
func unpackSchema1(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	packed, err := os.Open("testdata/schema1.db.gz")
	check(t, err)
	defer func() { _ = packed.Close() }() // only read
	z, err := gzip.NewReader(packed)
	check(t, err)
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_CREATE|os.O_WRONLY, fileMode)
	check(t, err)
	_, err = io.Copy(f, z)
	check(t, errors.Join(err, f.Close()))
	return dir
}

func TestJournalsOfSchema1AreRead(t *testing.T) {
	j := mustOpen(t, unpackSchema1(t), Options{})
	id, err := j.Resolve(t.Context(), "last")
	check(t, err)
	info, err := j.Run(t.Context(), id)
	check(t, err)
	if info.Program != "shoal 8dce720" || info.Command != "exit {index}" || info.Settings != nil || info.State != Ended {
		t.Errorf("%+v", info)
	}
	var outcomes []string
	for _, e := range entries(t, j, id, All) {
		outcomes = append(outcomes, e.Target.Host.Name+" "+e.Outcome.String())
	}
	want := []string{"127.1.0.1 ok", "127.1.0.2 failed", "127.1.0.3 cancelled", "127.1.0.4 cancelled", "127.1.0.5 cancelled"}
	if !slices.Equal(outcomes, want) {
		t.Errorf("%q", outcomes)
	}
	if report, err := j.Verify(t.Context(), id); err != nil || !report.OK() || report.Results != 5 {
		t.Errorf("%+v %v", report, err)
	}
	r, err := j.Resume(t.Context(), id)
	check(t, err)
	check(t, errors.Join(r.Intend(4, 1), r.Result(okResult(targetOf(4), ""))))
	check(t, r.End(Ending{}))
	next := mustBegin(t, j, RunInfo{Settings: &someSettings}, targetsOf(1))
	check(t, next.End(Ending{}))
	for _, run := range []string{id, next.ID()} {
		if report, err := j.Verify(t.Context(), run); err != nil || !report.OK() {
			t.Errorf("%s: %+v %v", run, report, err)
		}
	}
}

// The last run is the one begun last, even after the clock was set back.
func TestLastAfterAClockStep(t *testing.T) {
	now := day0
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	var ids []string
	for range 3 {
		r := mustBegin(t, j, RunInfo{}, targetsOf(1))
		check(t, r.End(Ending{}))
		ids = append(ids, r.ID())
		now = now.Add(-time.Hour)
	}
	for name, want := range map[string]string{"last": ids[2], "last-1": ids[1], "last-2": ids[0]} {
		if got, err := j.Resolve(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	var listed []string
	for info, err := range j.Runs(t.Context(), Filter{Limit: 2}) {
		check(t, err)
		listed = append(listed, info.Run)
	}
	if diff := cmp.Diff([]string{ids[2], ids[1]}, listed, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Targets may arrive in any order: those of a canary come first.
func TestTargetsInAnyOrder(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, slices.Values([]fleet.Target{targetOf(2), targetOf(7), targetOf(0), targetOf(5)}))
	check(t, errors.Join(r.Intend(7, 1), r.Result(okResult(targetOf(7), "")), r.End(Ending{})))
	targets, err := j.Select(t.Context(), r.ID(), Resumable)
	check(t, err)
	var indexes []int
	for _, target := range targets {
		indexes = append(indexes, target.Index)
	}
	if !slices.Equal(indexes, []int{0, 2, 5}) {
		t.Errorf("%v can be resumed", indexes)
	}
	if report, err := j.Verify(t.Context(), r.ID()); err != nil || !report.OK() {
		t.Errorf("%+v %v", report, err)
	}
}
