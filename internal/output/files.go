package output

import (
	"errors"
	"fmt"
	"io"

	"shoal/fleet"
	"shoal/record"
)

// Manifest is the name of the file that lists the results in a directory of
// Files.
const Manifest = "results.jsonl"

// Files keeps each target's output in two files of its own, and a manifest that
// says what they are. A file is there even when nothing came, so that a script
// needs no case for it; nothing is there for a target that was cancelled, and
// nothing is synced.
//
// A result that could not be written in full is not ok: Result gives a
// *fleet.Error with the target, phase store and reason store_failed, whose
// outcome is unknown when the result's was ok, and the manifest says the same.
type Files struct {
	dir      store
	digits   int
	manifest io.WriteCloser
	w        *record.Writer
	sum      record.Summary // of what the manifest says
	run      *record.Summary
}

// NewFiles makes the directory, readable by its owner only, or takes an empty
// one that only its owner can write. sum is as for NewJSON, except that the
// manifest counts for itself and takes Elapsed and Interrupted from sum.
func NewFiles(dir string, h record.Header, sum *record.Summary) (*Files, error) {
	d, err := openOutdir(dir)
	if err != nil {
		return nil, err
	}
	return newFiles(d, h, sum)
}

func newFiles(dir store, h record.Header, sum *record.Summary) (*Files, error) {
	manifest, err := dir.Create(Manifest)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("creating the manifest: %w", err), dir.Close())
	}
	w, err := record.NewWriter(manifest, h)
	if err != nil {
		return nil, errors.Join(err, manifest.Close(), dir.Close())
	}
	return &Files{dir: dir, digits: digitsFor(h.Targets), manifest: manifest, w: w, run: sum}, nil
}

// Result writes the target's files and then its line in the manifest, so that a
// line stands for whole files.
func (f *Files) Result(r fleet.Result) error {
	var names record.Files
	var failed *fleet.Error
	if r.Outcome != fleet.OutcomeCancelled {
		names = fileNames(&r.Target, f.digits)
		if err := f.outputs(&r, names); err != nil {
			failed = storeError(&r, err)
			r.Outcome, r.Reason, r.Phase, r.Err = failed.Outcome, failed.Reason, failed.Phase, failed.Err
			r.Flags |= fleet.FlagOutputIncomplete
		}
	}
	if err := f.w.Stored(r, names); err != nil {
		failed = storeError(&r, err)
		r.Outcome = failed.Outcome
	}
	f.sum.Add(r)
	if failed != nil {
		return failed
	}
	return nil
}

// Close writes the summary into the manifest and closes everything.
func (f *Files) Close() error {
	f.sum.Elapsed, f.sum.Interrupted = f.run.Elapsed, f.run.Interrupted
	err := f.w.Close(f.sum)
	if closeErr := f.manifest.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the manifest: %w", closeErr))
	}
	return errors.Join(err, f.dir.Close())
}

func (f *Files) outputs(r *fleet.Result, names record.Files) error {
	var errs []error
	for s, out := range []*fleet.Output{&r.Stdout, &r.Stderr} {
		errs = append(errs, f.output(names[s], out.Bytes))
	}
	return errors.Join(errs...)
}

func (f *Files) output(name string, content []byte) error {
	file, err := f.dir.Create(name)
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	n, err := file.Write(content)
	if err == nil && n < len(content) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), file.Close())
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", name, err)
	}
	return nil
}

// storeError says that a result could not be kept. The command's own bad end
// stays what it was; a good one whose bytes are lost is no longer known here.
func storeError(r *fleet.Result, err error) *fleet.Error {
	outcome := r.Outcome
	if outcome == fleet.OutcomeOK {
		outcome = fleet.OutcomeUnknown
	}
	if r.Err != nil {
		err = fmt.Errorf("%w (and before: %w)", err, r.Err)
	}
	return &fleet.Error{
		Host: r.Target.Host.String(), Outcome: outcome,
		Phase: fleet.PhaseStore, Reason: fleet.ReasonStoreFailed, Err: err,
	}
}
