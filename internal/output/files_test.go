package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/record"
)

// faults.md: S10
func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "out")
	sum := &record.Summary{Elapsed: second, Interrupted: true}
	f, err := NewFiles(dir, record.Header{Program: "shoal", Run: "r1", Targets: 120}, sum)
	if err != nil {
		t.Fatal(err)
	}
	v6 := ended(101, exit(3), "", "oops")
	v6.Target.Host = fleet.Host{Name: "2001:db8::1", Port: 2222, User: "admin"}
	for _, r := range []fleet.Result{
		ok(0, hostile),
		v6,
		ended(2, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted}, "", ""),
	} {
		if err := f.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	const v6Name = "101_admin@%5B2001%3Adb8%3A%3A1%5D%3A2222"
	want := map[string]string{
		"000_node1.out": hostile, "000_node1.err": "",
		v6Name + ".out": "", v6Name + ".err": "oops",
	}
	manifest := readDir(t, dir, want)
	golden(t, "manifest.jsonl", manifest)
	var outcomes []fleet.Outcome
	for e, err := range record.Read(bytes.NewReader(manifest)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "result" {
			outcomes = append(outcomes, e.Result.Outcome)
		}
	}
	if !cmp.Equal(outcomes, []fleet.Outcome{fleet.OutcomeOK, fleet.OutcomeFailed, fleet.OutcomeCancelled}) {
		t.Errorf("%v", outcomes)
	}
}

// readDir compares the files of dir and their modes, and returns the manifest.
func readDir(t *testing.T, dir string, want map[string]string) (manifest []byte) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("directory %v, %v", info.Mode(), err)
	}
	got := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() == Manifest {
			manifest = content
			continue
		}
		got[e.Name()] = string(content)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	return manifest
}

// faulty is a store in memory. Its operation number fail fails, and with ever all later
// ones too.
type faulty struct {
	files map[string]*bytes.Buffer
	ops   int
	fail  int
	ever  bool
	err   error
}

func (f *faulty) op() error {
	f.ops++
	if f.ops == f.fail || f.ever && f.ops > f.fail {
		return f.err
	}
	return nil
}

func (f *faulty) Create(name string) (io.WriteCloser, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	f.files[name] = new(bytes.Buffer)
	return &faultyFile{f, f.files[name]}, nil
}

func (f *faulty) Close() error { return nil }

type faultyFile struct {
	*faulty
	b *bytes.Buffer
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.op(); err != nil {
		f.b.Write(p[:len(p)/2])
		return len(p) / 2, err
	}
	return f.b.Write(p)
}

func (f *faultyFile) Close() error { return f.op() }

// Whichever operation fails, once or from then on, the error is returned, and no target
// with lost bytes is ok, neither for the caller nor in the manifest.
// faults.md: R11
func TestFilesFailTheNthOperation(t *testing.T) {
	results := []fleet.Result{ok(0, "zero\n"), ended(1, exit(7), "one\n", "bad\n"), ok(2, "two\n")}
	for _, ever := range []bool{false, true} {
		for n := 1; ; n++ {
			dir := &faulty{files: make(map[string]*bytes.Buffer), fail: n, ever: ever, err: syscall.ENOSPC}
			errs, spoilt := runFiles(t, dir, results)
			if dir.ops < n {
				if len(errs) != 0 {
					t.Fatalf("without a fault: %v", errs)
				}
				break
			}
			if len(errs) == 0 || !errors.Is(errors.Join(errs...), syscall.ENOSPC) {
				t.Fatalf("operation %d failed and nobody was told: %v", n, errs)
			}
			for _, r := range results {
				checkKept(t, n, dir, r, spoilt[r.Target.Index])
			}
			checkManifest(t, n, dir, spoilt)
		}
	}
}

func runFiles(t *testing.T, dir store, results []fleet.Result) (errs []error, spoilt map[int]*fleet.Error) {
	t.Helper()
	spoilt = make(map[int]*fleet.Error)
	f, err := newFiles(dir, record.Header{Targets: len(results)}, &record.Summary{})
	if err != nil {
		for _, r := range results {
			spoilt[r.Target.Index] = &fleet.Error{}
		}
		return []error{err}, spoilt
	}
	for _, r := range results {
		err := f.Result(r)
		if err == nil {
			continue
		}
		fe, ok := errors.AsType[*fleet.Error](err)
		if !ok || fe.Host != r.Target.Host.Name || fe.Phase != fleet.PhaseStore ||
			fe.Reason != fleet.ReasonStoreFailed || fe.Outcome == fleet.OutcomeOK {
			t.Fatalf("%#v does not tell of %s", err, r.Target.Host)
		}
		if r.Outcome == fleet.OutcomeFailed && fe.Outcome != fleet.OutcomeFailed {
			t.Fatalf("failed became %s", fe.Outcome)
		}
		spoilt[r.Target.Index] = fe
		errs = append(errs, err)
	}
	if err := f.Close(); err != nil {
		errs = append(errs, err)
	}
	return errs, spoilt
}

func checkKept(t *testing.T, n int, dir *faulty, r fleet.Result, spoilt *fleet.Error) {
	t.Helper()
	if spoilt != nil {
		return
	}
	for s, name := range fileNames(&r.Target, 1) {
		want := [][]byte{r.Stdout.Bytes, r.Stderr.Bytes}[s]
		if got := dir.files[name]; got == nil || !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("operation %d failed: %s is not what came, and its target looks ok", n, name)
		}
	}
}

func checkManifest(t *testing.T, n int, dir *faulty, spoilt map[int]*fleet.Error) {
	t.Helper()
	manifest := dir.files[Manifest]
	if manifest == nil {
		return
	}
	for e, err := range record.Read(manifest) {
		if err != nil || e.Result == nil {
			continue // torn by the fault
		}
		if r := e.Result; spoilt[r.Target.Index] != nil && (r.Outcome == fleet.OutcomeOK || r.Reason != fleet.ReasonStoreFailed || !r.Flags.Has(fleet.FlagOutputIncomplete)) {
			t.Fatalf("operation %d failed: the manifest says %+v", n, r.End)
		}
	}
}

// A real full device returns the same error as the injected one.
// faults.md: R11
func TestFilesOnAFullDevice(t *testing.T) {
	f, err := newFiles(devFull{}, record.Header{}, &record.Summary{})
	if !errors.Is(err, syscall.ENOSPC) || f != nil {
		t.Errorf("%v", err)
	}
}

type devFull struct{}

func (devFull) Create(string) (io.WriteCloser, error) {
	return os.OpenFile("/dev/full", os.O_WRONLY, 0)
}
func (devFull) Close() error { return nil }

func TestStoreErrorKeepsTheCauseBefore(t *testing.T) {
	r := ended(0, neverStarted(fleet.ReasonThrottled, fleet.PhaseBanner, "turned away"), "", "")
	err := storeError(&r, fmt.Errorf("creating x: %w", syscall.ENOSPC))
	if err.Outcome != fleet.OutcomeNeverStarted || !errors.Is(err, r.Err) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
}
