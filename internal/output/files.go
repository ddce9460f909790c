package output

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"shoal/fleet"
	"shoal/record"
)

// Manifest is the name of the file that lists the results in a directory written by Files.
const Manifest = "results.jsonl"

// Files writes each target's output to two files and lists the results in a manifest. The
// files exist even if the output is empty, so that scripts need no special case. There are
// none for cancelled targets. Files does not sync to disk.
//
// A result that could not be written in full is not ok: Result returns a *fleet.Error with
// the target, phase store and reason store_failed. Its outcome is unknown if the result's
// was ok. The manifest says the same.
type Files struct {
	dir      store
	digits   int
	namer    namer
	manifest io.WriteCloser
	w        *record.Writer
	sum      record.Summary // of the results as the manifest has them
	run      *record.Summary
}

// NewFiles creates the directory with mode 0700, or uses an existing empty one that others
// cannot write to. sum is as for NewJSON, except that the manifest has its own counts and
// takes only Elapsed and Interrupted from sum.
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

// NameAfter has the files called by the names of the hosts in targets, which are all
// that results come for: NAME.out and NAME.err where no other has the name, with user@ or
// _port where that tells them apart, and otherwise with the target's index before it, as
// without NameAfter. It is called before the first Result.
func (f *Files) NameAfter(targets iter.Seq[fleet.Target]) { f.namer = newNamer(targets) }

// Result writes the target's files and then its line in the manifest, so that a line
// implies complete files.
func (f *Files) Result(r fleet.Result) error {
	var names record.Files
	var failed *fleet.Error
	if r.Outcome != fleet.OutcomeCancelled {
		names = f.namer.names(&r.Target, f.digits)
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

// Close writes the summary to the manifest and closes everything.
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

// storeError returns the error for a result that could not be stored. The command's own
// failure is kept; a success becomes unknown because its output is lost.
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
