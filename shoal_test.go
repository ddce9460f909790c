package shoal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shoal"
	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/internal/sshdtest"
	"shoal/record"
	"shoal/simfleet"
)

func TestMain(m *testing.M) {
	if hosts := os.Getenv(fleetVariable); hosts != "" {
		serveFleet(hosts)
		return
	}
	goleak.VerifyTestMain(m)
}

// No exported signature and no exported field has a type of an internal package: other
// programs could not name it, and what is below could not change.
func TestNoInternalTypes(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		internal := make(map[string]bool)
		for _, i := range file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			internal[filepath.Base(path)] = strings.Contains(path, "/internal/")
		}
		check := func(what string, n ast.Node) {
			checked++
			ast.Inspect(n, func(n ast.Node) bool {
				if f, ok := n.(*ast.Field); ok && len(f.Names) > 0 && !slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) && what == "type" {
					return false
				}
				if s, ok := n.(*ast.SelectorExpr); ok {
					if p, ok := s.X.(*ast.Ident); ok && internal[p.Name] {
						t.Errorf("%s: %s %s.%s", name, what, p.Name, s.Sel.Name)
					}
				}
				return true
			})
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() {
					check("func "+d.Name.Name, d.Type)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok && s.Name.IsExported() {
						check("type", s.Type)
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d declarations were checked", checked)
	}
}

func sim(t *testing.T, o simfleet.Options) (*simulation, shoal.Options) {
	t.Helper()
	fl, opts := simulated(o)
	t.Cleanup(fl.close)
	return fl, opts
}

func collect(t *testing.T, results func(func(shoal.Result, error) bool)) (all []shoal.Result) {
	t.Helper()
	for res, err := range results {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, res)
	}
	return all
}

// What is wrong with the options is one error, before any connection.
func TestInvalid(t *testing.T) {
	fl, good := sim(t, simfleet.Options{Hosts: 1})
	for name, c := range map[string]struct {
		change  func(*shoal.Options)
		command string
	}{
		"unknown placeholder":   {func(*shoal.Options) {}, "echo {hots|sh}"},
		"empty command":         {func(*shoal.Options) {}, ""},
		"negative fanout":       {func(o *shoal.Options) { o.Limits.Fanout = -1 }, "true"},
		"no key file":           {func(o *shoal.Options) { o.Login.Identities = []string{"no-such-file"} }, "true"},
		"no policy":             {func(o *shoal.Options) { o.HostKeys.Policy = shoal.HostKeysInsecure + 1 }, "true"},
		"no pipeline":           {func(o *shoal.Options) { o.Client.Pipeline = shoal.PipelineOff + 1 }, "true"},
		"two clients":           {func(o *shoal.Options) { o.Client.Standard, o.Client.OpenSSH = true, true }, "true"},
		"standard, pipeline":    {func(o *shoal.Options) { o.Client.Standard, o.Client.Pipeline = true, shoal.PipelineOff }, "true"},
		"standard, classical":   {func(o *shoal.Options) { o.Client.Standard, o.Client.Classical = true, true }, "true"},
		"OpenSSH, pipeline":     {func(o *shoal.Options) { o.Client.OpenSSH, o.Client.Pipeline = true, shoal.PipelineAuth }, "true"},
		"OpenSSH, classical":    {func(o *shoal.Options) { o.Client.OpenSSH, o.Client.Classical = true, true }, "true"},
		"stage of two amounts":  {func(o *shoal.Options) { o.Rollout.Stages = []shoal.Amount{{Count: 1, Percent: 1}} }, "true"},
		"limit of two amounts":  {func(o *shoal.Options) { o.Rollout.MaxFail = &shoal.Amount{Count: 1, Percent: 1} }, "true"},
		"negative timeout":      {func(o *shoal.Options) { o.Timeouts.Auth = -1 }, "true"},
		"no such stage":         {func(o *shoal.Options) { o.Rollout.Stages = []shoal.Amount{{Percent: 101}} }, "true"},
		"check, one stage":      {func(o *shoal.Options) { o.Rollout.Check = func(context.Context, int) error { return nil } }, "true"},
		"pause, one stage":      {func(o *shoal.Options) { o.Rollout.Pause = time.Second }, "true"},
		"no markers, somewhere": {func(o *shoal.Options) { o.Remote.Dir = "/somewhere" }, "true"},
		"detach, no journal":    {func(o *shoal.Options) { o.Remote.Detach = true }, "true"},
		"detach and kill":       {func(o *shoal.Options) { o.Remote.Detach, o.Remote.KillOnCancel = true, true }, "true"},
		"markers somewhere odd": {func(o *shoal.Options) { o.Remote.KillOnCancel, o.Remote.Dir = true, "a b" }, "true"},
	} {
		opts := good
		c.change(&opts)
		var errs, results int
		for _, err := range shoal.Run(t.Context(), fl.Targets(), c.command, opts) {
			if err != nil {
				errs++
			} else {
				results++
			}
		}
		if errs != 1 || results != 0 {
			t.Errorf("%s: %d errors and %d results, want one error", name, errs, results)
		}
	}
	if n := fl.Stats().Accepted; n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// Targets that change while they are iterated would be reached as others are, and
// without an index of their own they would have the results of others.
func TestTargetsThatChange(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 3})
	all := slices.Collect(fl.Targets())
	calls := 0
	for name, targets := range map[string]func(func(shoal.Target) bool){
		"only once": func(yield func(shoal.Target) bool) {
			if calls++; calls == 1 {
				slices.Values(all)(yield)
			}
		},
		"in another order": func(yield func(shoal.Target) bool) {
			slices.Reverse(all)
			slices.Values(all)(yield)
		},
		"without an index": func(yield func(shoal.Target) bool) {
			for _, x := range all {
				x.Index = 0
				if !yield(x) {
					return
				}
			}
		},
	} {
		var errs, results int
		for _, err := range shoal.Run(t.Context(), targets, "true", opts) {
			if err != nil {
				errs++
			} else {
				results++
			}
		}
		if errs != 1 || results != 0 {
			t.Errorf("%s: %d errors and %d results, want one error", name, errs, results)
		}
	}
	if n := fl.Stats().Accepted; n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// Names are the caller's, and its Dial decides where they lead.
func TestDial(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 3})
	opts.HostKeys = shoal.HostKeys{Files: []string{filepath.Join(t.TempDir(), "known")}, Policy: shoal.HostKeysAcceptNew}
	var dials atomic.Int32
	opts.Client.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		if address == "web3:22" {
			return nil, errors.New("the cable is out")
		}
		var i int
		if _, err := fmt.Sscanf(address, "web%d:22", &i); err != nil || network != "tcp" {
			return nil, fmt.Errorf("asked for %s %q", network, address)
		}
		return new(net.Dialer).DialContext(ctx, network, fl.Host(i).String())
	}
	opts.Limits.Attempts = 1
	targets, err := shoal.Hosts("web[0-3]")
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range collect(t, shoal.Run(t.Context(), targets, "true", opts)) {
		want := fleet.OutcomeOK
		if res.Target.Index == 3 {
			want = fleet.OutcomeNeverStarted
		}
		if res.Outcome != want || (want == fleet.OutcomeNeverStarted) != (res.Err != nil && strings.Contains(res.Err.Error(), "the cable is out")) {
			t.Errorf("%s: %v: %v", res.Target.Host, res.Outcome, res.Err)
		}
	}
	if n := dials.Load(); n != 4 {
		t.Errorf("%d dials, want 4", n)
	}
}

// The callback gets each stream's bytes once and in order, all before the result.
func TestOutput(t *testing.T) {
	const hosts = 20
	fl, opts := sim(t, simfleet.Options{Hosts: hosts})
	var got [hosts][fleet.NumStreams]bytes.Buffer
	var ended [hosts]bool
	opts.Output = func(x shoal.Target, s fleet.Stream, p []byte) {
		if ended[x.Index] {
			t.Errorf("target %d: output after its result", x.Index)
		}
		got[x.Index][s].Write(p)
	}
	for _, res := range collect(t, func(yield func(shoal.Result, error) bool) {
		for res, err := range shoal.Run(t.Context(), fl.Targets(), "echo a {index}; sleep 0.01; echo b; echo c >&2", opts) {
			ended[res.Target.Index] = true
			if !yield(res, err) {
				return
			}
		}
	}) {
		for s, o := range [fleet.NumStreams]fleet.Output{res.Stdout, res.Stderr} {
			if b := got[res.Target.Index][s].Bytes(); !bytes.Equal(b, o.Bytes) || s == 0 && string(b) != fmt.Sprintf("a %d\nb\n", res.Target.Index) {
				t.Errorf("target %d, stream %d: %q, and the result has %q", res.Target.Index, s, b, o.Bytes)
			}
		}
	}
}

// Runs are listed, and what failed is run again as a run of its own.
func TestRerun(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 4})
	j, err := shoal.OpenJournal(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	opts.Journal = j
	collect(t, shoal.Run(t.Context(), fl.Targets(), "exit {index}", opts))
	opts.Journal = nil // Rerun records where it is called
	again := collect(t, j.Rerun(t.Context(), "last", "failed", opts))
	if len(again) != 3 || slices.ContainsFunc(again, func(r shoal.Result) bool { return r.Outcome != fleet.OutcomeFailed }) {
		t.Errorf("run again: %+v", again)
	}
	var runs []shoal.RunInfo
	for info, err := range j.Runs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, info)
	}
	if len(runs) != 2 || runs[0].Parent != runs[1].Run || runs[0].Targets != 3 || runs[1].Targets != 4 || runs[1].Command != "exit {index}" ||
		runs[0].Interrupted || runs[0].Running || runs[0].Ended.IsZero() {
		t.Errorf("%+v", runs)
	}
	if all := collect(t, j.Results(t.Context(), "last-1")); len(all) != 4 || all[2].Status != 2 {
		t.Errorf("%+v", all)
	}
	if left := collect(t, j.Resume(t.Context(), "last-1", opts)); len(left) != 0 {
		t.Errorf("resumed: %+v", left)
	}
	opts.Journal = new(shoal.Journal)
	for name, results := range map[string]func(func(shoal.Result, error) bool){
		"rerun": j.Rerun(t.Context(), "last", "failed", opts), "resume": j.Resume(t.Context(), "last", opts), "resolve": j.Resolve(t.Context(), "last", opts),
	} {
		for res, err := range results {
			if err == nil || !strings.Contains(err.Error(), "Options.Journal") {
				t.Errorf("%s with another journal: %v %v", name, res.Outcome, err)
			}
		}
	}
}

// TestRunWithSettings takes a run of the program, which had flags, only if the caller says
// that its Options are meant instead.
func TestRunWithSettings(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 2})
	dir := t.TempDir()
	written, err := journal.Open(t.Context(), dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	info := journal.RunInfo{
		Header:   record.Header{Program: "shoal", Command: "true"},
		Settings: &journal.Settings{Flags: map[string][]string{"rate": {"1"}, "known-hosts": {"/kh"}}},
	}
	r, err := written.Begin(t.Context(), info, func(yield func(fleet.Target) bool) {
		for target := range fl.Targets() {
			target.Command = "true"
			if !yield(target) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.End(journal.Ending{Interrupted: true}), written.Close()); err != nil {
		t.Fatal(err)
	}
	j, err := shoal.OpenJournal(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	const want = "was made with --rate, which these Options do not take over\nhint: "
	for name, results := range map[string]func(func(shoal.Result, error) bool){
		"resume": j.Resume(t.Context(), "last", opts), "rerun": j.Rerun(t.Context(), "last", "never-started", opts),
	} {
		n := 0
		for res, err := range results {
			if n++; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, %v", name, res.Outcome, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d results and errors", name, n)
		}
	}
	if n := fl.Stats().Accepted; n != 0 {
		t.Errorf("%d connections were made", n)
	}
	opts.Resume.IgnoreSettings = true
	for _, res := range collect(t, j.Resume(t.Context(), "last", opts)) {
		if res.Outcome != fleet.OutcomeOK {
			t.Errorf("resumed: %v", res)
		}
	}
	if n := fl.Stats().Accepted; n != 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
}

// far returns a real host, options that reach it, with a journal and a directory for
// markers, and a path.
func far(t *testing.T, with ...sshdtest.Option) (targets func(func(shoal.Target) bool), opts shoal.Options, gate string) {
	t.Helper()
	s := sshdtest.OpenSSH(t, with...)
	j, err := shoal.OpenJournal(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if targets, err = shoal.Hosts(s.Host.String()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return targets, shoal.Options{
		Login:    shoal.Login{Identities: []string{s.KeyFile}, Agent: shoal.NoAgent},
		Config:   shoal.Config{File: "none"},
		HostKeys: shoal.HostKeys{Files: []string{s.KnownHosts}},
		Journal:  j,
		Remote:   shoal.Remote{Dir: filepath.Join(dir, "marks")},
	}, filepath.Join(dir, "gate")
}

func TestCollect(t *testing.T) {
	targets, opts, gate := far(t)
	opts.Remote.Detach = true
	command := fmt.Sprintf("while [ ! -e %s ]; do sleep 0.1; done; echo done; exit 3", gate)
	if got := collect(t, shoal.Run(t.Context(), targets, command, opts)); len(got) != 1 || got[0].Outcome != fleet.OutcomeDetached {
		t.Fatalf("%+v", got)
	}
	got := collect(t, opts.Journal.Collect(t.Context(), "last", false, opts))
	if len(got) != 1 || got[0].Outcome != fleet.OutcomeDetached || got[0].Err == nil || !strings.Contains(got[0].Err.Error(), "still runs") {
		t.Errorf("while it runs: %+v", got)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got = collect(t, opts.Journal.Collect(t.Context(), "last", true, opts))
	if len(got) != 1 || got[0].Outcome != fleet.OutcomeFailed || got[0].Status != 3 || string(got[0].Stdout.Bytes) != "done\n" {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(opts.Remote.Dir); err != nil || len(left) != 0 {
		t.Errorf("%d markers are left: %v", len(left), err)
	}
	if got := collect(t, opts.Journal.Collect(t.Context(), "last", true, opts)); len(got) != 0 {
		t.Errorf("collected again: %+v", got)
	}
}

// What was given up is killed, or else resolved later.
func TestGivenUp(t *testing.T) {
	for _, kill := range []bool{true, false} {
		targets, opts, gate := far(t)
		opts.Remote.Once, opts.Remote.KillOnCancel = true, kill
		ctx, cancel := context.WithCancel(t.Context())
		opts.Output = func(shoal.Target, fleet.Stream, []byte) { cancel() }
		command := fmt.Sprintf("echo started; while [ ! -e %s ]; do sleep 0.1; done", gate)
		got := collect(t, shoal.Run(ctx, targets, command, opts))
		want := fleet.OutcomeUnknown
		if kill {
			want = fleet.OutcomeSignalled
		}
		if len(got) != 1 || got[0].Outcome != want {
			t.Fatalf("kill %v: %+v", kill, got)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		opts.Output = nil
		for deadline := time.Now().Add(time.Minute); !kill; {
			got = collect(t, opts.Journal.Resolve(t.Context(), "last", opts))
			if len(got) == 1 && got[0].Outcome == fleet.OutcomeOK {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%+v", got)
			}
		}
		if got := collect(t, opts.Journal.Resolve(t.Context(), "last", opts)); len(got) != 0 {
			t.Errorf("kill %v: still unknown: %+v", kill, got)
		}
	}
}
