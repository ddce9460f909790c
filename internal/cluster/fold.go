package cluster

import (
	"errors"
	"fmt"

	"shoal/fleet"
)

// errDamaged means that a shard's log cannot have been written by the rules: records are
// missing, changed, or by a writer that was replaced. Nothing of the shard is started any more.
var errDamaged = errors.New("the log of a shard is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// A Fold is the state of a shard, computed from the records of its log alone. The zero
// value is a shard that was not opened. It has no lock.
type Fold struct {
	// Seq is the stream sequence of the last record, and Digest what Prev of the next is.
	Seq    uint64
	Digest string
	// Shard is what open says; nil before.
	Shard *Shard
	// Signed is the shard as it was signed, and Signature its signature.
	Signed    []byte
	Signature []byte
	// Epoch is that of the last take or close, and Worker who took it; "" means nobody.
	Epoch  int
	Worker string
	// Done means that no record follows: the worker has ended, or the coordinator closed it.
	Done bool
	// Err is why the log is not believed; see errDamaged and formatError.
	Err error

	hosts   []hostState
	workers []workerID // by epoch - 1
	told    []bool     // the same: the worker was replaced, and has told all that it will tell
	partial []byte     // the beginning of a body that goes on
}

// A workerID is who took a shard; the zero value is the coordinator.
type workerID struct{ name, process string }

type hostState struct {
	intended int  // epoch of the last intent; 0 means none
	result   bool // in the log
	late     bool // in late.…
}

// Apply adds the next message of the log. It returns the work in it, nil if there is none. After an
// error, which is Err too, the fold stays as it was.
func (f *Fold) Apply(seq uint64, message []byte, p *packer) (*Work, error) {
	return f.add(seq, message, p, func(*Record) error { return nil })
}

// ApplyFrom is Apply for a message of a writer, as its subject names it: nobody writes for another.
func (f *Fold) ApplyFrom(writer string, seq uint64, message []byte, p *packer) (*Work, error) {
	return f.add(seq, message, p, func(r *Record) error {
		if !wrote(writer, r) {
			return damaged("%.80q wrote record %d in the name of %.80q", writer, seq, r.Worker)
		}
		return nil
	})
}

func (f *Fold) add(seq uint64, message []byte, p *packer, check func(*Record) error) (*Work, error) {
	if f.Err != nil {
		return nil, f.Err
	}
	r, err := DecodeRecord(message)
	if err != nil {
		f.Err = damaged("%v", err)
		return nil, f.Err
	}
	if f.Err = check(r); f.Err != nil {
		return nil, f.Err
	}
	return f.applyRecord(seq, r, message, p)
}

// applyRecord is Apply for a record that was decoded, or that was encoded here.
func (f *Fold) applyRecord(seq uint64, r *Record, message []byte, p *packer) (*Work, error) {
	w, err := f.apply(seq, r, p)
	if err != nil {
		f.Err = err
		return nil, err
	}
	f.Seq, f.Digest = seq, digest(message)
	return w, nil
}

func wrote(writer string, r *Record) bool {
	if r.Worker == "" {
		return writer == coordinatorName
	}
	return writer == r.Worker
}

func (f *Fold) apply(seq uint64, r *Record, p *packer) (*Work, error) {
	switch {
	case seq <= f.Seq:
		return nil, damaged("record %d comes after %d", seq, f.Seq)
	case r.Prev != f.Digest:
		return nil, damaged("record %d does not follow record %d", seq, f.Seq)
	case f.Done:
		return nil, damaged("record %d comes after the end", seq)
	case (r.Kind == KindOpen) != (f.Shard == nil):
		return nil, damaged("record %d is %.20q", seq, r.Kind)
	case r.More && r.Kind != KindWork:
		return nil, damaged("record %d is %.20q, and not whole", seq, r.Kind)
	}
	switch r.Kind {
	case KindOpen:
		return nil, f.open(r)
	case KindTake, KindClose:
		if r.Epoch != f.Epoch+1 || (r.Worker == "") != (r.Kind == KindClose) {
			return nil, damaged("record %d takes epoch %d after %d", seq, r.Epoch, f.Epoch)
		}
		f.Epoch, f.Worker, f.Done, f.partial = r.Epoch, r.Worker, r.Kind == KindClose, nil
		f.workers = append(f.workers, workerID{r.Worker, r.Process})
		f.told = append(f.told, r.Worker == "")
		return nil, nil
	case KindWork:
		if r.Epoch != f.Epoch || r.Worker != f.Worker || r.Epoch == 0 {
			return nil, damaged("record %d is of epoch %d by %.40q, in epoch %d of %.40q", seq, r.Epoch, r.Worker, f.Epoch, f.Worker)
		}
		body, whole, err := f.join(r)
		if err != nil || !whole {
			return nil, err
		}
		w := r.work
		if w == nil {
			if w, err = p.decode(body); err != nil {
				return nil, damaged("record %d: %v", seq, err)
			}
		}
		if err := f.check(w); err != nil {
			return nil, err
		}
		f.work(w)
		return w, nil
	}
	return nil, damaged("record %d is %.20q", seq, r.Kind)
}

func (f *Fold) open(r *Record) error {
	signed, signature, err := splitSigned(r.Body)
	if err != nil {
		return damaged("%v", err)
	}
	shard, err := DecodeShard(signed)
	if _, ok := errors.AsType[formatError](err); ok {
		return err // it is as it was written
	}
	if err != nil {
		return damaged("%v", err)
	}
	if r.Epoch != 0 || r.Worker != "" {
		return damaged("open in epoch %d", r.Epoch)
	}
	f.Shard, f.Signed, f.Signature = shard, signed, signature
	f.hosts = make([]hostState, len(shard.Hosts))
	return nil
}

// join returns the whole body of a record that may continue others.
func (f *Fold) join(r *Record) (body []byte, whole bool, err error) {
	if f.partial == nil && !r.More {
		return r.Body, true, nil
	}
	if len(f.partial)+len(r.Body) > maxBody {
		return nil, false, damaged("a body of more than %d bytes", maxBody)
	}
	f.partial = append(f.partial, r.Body...)
	if r.More {
		return nil, false, nil
	}
	body, f.partial = f.partial, nil
	return body, true, nil
}

// check returns an error for work that the rules do not allow.
func (f *Fold) check(w *Work) error {
	intends := make(map[int]bool, len(w.Intents))
	for _, i := range w.Intents {
		switch {
		case i < 0 || i >= len(f.hosts):
			return damaged("an intent for host %d of %d", i, len(f.hosts))
		case f.hosts[i].result:
			return damaged("an intent for host %d, which has its result", i)
		case !f.mayRun(i):
			return damaged("an intent for host %d, which epoch %d may have run", i, f.hosts[i].intended)
		}
		intends[i] = true
	}
	for _, part := range w.Parts {
		switch i := part.Host; {
		case i < 0 || i >= len(f.hosts):
			return damaged("output of host %d of %d", i, len(f.hosts))
		case f.hosts[i].result:
			return damaged("output of host %d after its result", i)
		case !intends[i] && f.hosts[i].intended != f.Epoch:
			return damaged("output of host %d without an intent", i)
		}
	}
	ended := make(map[int]bool, len(w.Results))
	for _, r := range w.Results {
		switch {
		case r.Host < 0 || r.Host >= len(f.hosts):
			return damaged("a result for host %d of %d", r.Host, len(f.hosts))
		case f.hosts[r.Host].result || ended[r.Host]:
			return damaged("a second result for host %d", r.Host)
		case !r.Result.Outcome.DidNotRun() && !intends[r.Host] && f.hosts[r.Host].intended != f.Epoch:
			return damaged("host %d has run without an intent", r.Host)
		case f.hosts[r.Host].intended != 0 && f.hosts[r.Host].intended != f.Epoch && !intends[r.Host]:
			return damaged("a result in epoch %d for host %d of epoch %d", f.Epoch, r.Host, f.hosts[r.Host].intended)
		}
		ended[r.Host] = true
	}
	if !w.Done {
		return nil
	}
	for i := range f.hosts {
		if !ended[i] && !f.hosts[i].result && (f.hosts[i].intended == 0 || f.hosts[i].intended == f.Epoch || intends[i]) {
			return damaged("done without host %d", i)
		}
	}
	return nil
}

func (f *Fold) work(w *Work) {
	for _, i := range w.Intents {
		f.hosts[i].intended = f.Epoch
	}
	for _, r := range w.Results {
		f.hosts[r.Host].result = true
	}
	f.Done = w.Done
}

// mayRun reports whether the shard's owner may start the command on a host: nobody before it may
// have run it, or the command may run twice.
func (f *Fold) mayRun(i int) bool {
	h := f.hosts[i]
	return !h.result && (h.intended == 0 || h.intended == f.Epoch || f.Shard.Options.Idempotent)
}

// Remaining returns the hosts that a worker which has just taken the shard has to run.
func (f *Fold) Remaining() []int {
	var list []int
	for i := range f.hosts {
		if f.mayRun(i) {
			list = append(list, i)
		}
	}
	return list
}

// Ended returns how a host without a result ends now that the log is done or not believed.
func (f *Fold) Ended(i int) fleet.Outcome {
	if f.Err == nil && f.hosts[i].intended == 0 {
		return fleet.OutcomeNeverStarted
	}
	return fleet.OutcomeUnknown
}

// Late returns the results of a worker that was replaced, as far as they are for hosts of
// its own intents that have none, and counts them as theirs. writer is who sent the message.
func (f *Fold) Late(writer string, message []byte, p *packer) ([]Result, error) {
	r, err := DecodeRecord(message)
	if err != nil {
		return nil, err
	}
	if !wrote(writer, r) {
		return nil, fmt.Errorf("%.80q wrote in the name of %.80q", writer, r.Worker)
	}
	if r.Kind != KindLate || r.More || r.Epoch < 1 || r.Epoch > len(f.workers) || f.workers[r.Epoch-1].name != r.Worker || r.Worker == "" {
		return nil, fmt.Errorf("results of epoch %d by %.40q, who did not have it", r.Epoch, r.Worker)
	}
	w, err := p.decode(r.Body)
	if err != nil {
		return nil, err
	}
	var taken []Result
	for _, res := range w.Results {
		if i := res.Host; i >= 0 && i < len(f.hosts) && f.hosts[i].intended == r.Epoch && !f.hosts[i].result && !f.hosts[i].late {
			f.hosts[i].late = true
			taken = append(taken, res)
		}
	}
	if w.Done {
		f.told[r.Epoch-1] = true
	}
	return taken, nil
}
