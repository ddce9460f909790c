package journal

import (
	"errors"
	"net/netip"
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

// Settings that cannot be read are damage, and those of a newer program are refused.
func TestSettingsThatCannotBeRead(t *testing.T) {
	for change, want := range map[string]error{
		`UPDATE runs SET settings = '{'`:             ErrDamaged,
		`UPDATE runs SET settings = '{"version":3}'`: ErrNewer,
	} {
		j := mustOpen(t, t.TempDir(), Options{})
		r := mustBegin(t, j, RunInfo{}, targetsOf(1))
		check(t, r.End(Ending{}))
		_, err := j.write.Exec(change)
		check(t, err)
		if info, err := j.Run(t.Context(), r.ID()); !errors.Is(err, want) {
			t.Errorf("%s: %+v %v", change, info, err)
		}
	}
}

// A run without command lines has settings 2, which programs that would run them refuse.
func TestSettingsOfRunsWithoutCommandLines(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	for is, version := range map[bool]int{false: 1, true: 2} {
		r := mustBegin(t, j, RunInfo{Settings: &Settings{NotCommands: is}}, targetsOf(1))
		check(t, r.End(Ending{}))
		var got int
		check(t, j.write.QueryRow(`SELECT settings ->> 'version' FROM runs WHERE id = ?`, r.ID()).Scan(&got))
		info, err := j.Run(t.Context(), r.ID())
		check(t, err)
		if got != version || info.Settings.NotCommands != is {
			t.Errorf("NotCommands %v: settings %d, read as %v", is, got, info.Settings.NotCommands)
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
	check(t, errors.Join(r.Intend(7, 1, netip.AddrPort{}), r.Result(okResult(targetOf(7), "")), r.End(Ending{})))
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
