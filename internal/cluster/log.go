package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errFenced means that somebody else has taken or closed the shard: the appends of this
// process fail from now on.
var errFenced = errors.New("the shard was taken over")

// errNotWritten means that the server has refused a record each time, and has answered each time: the
// record is not in the log and will not be.
var errNotWritten = errors.New("NATS does not store it")

// A Log is the log of one shard, as one process reads and appends to it. It has no lock.
type Log struct {
	Fold
	conn   *Conn
	name   string // of the stream
	writer string // see logSubject
	filter string // of the records of all writers
	own    string // subject of ours
	late   string // the same

	known mark          // what the log must have; zero: nothing is known
	moved func(mark)    // called when the log was read or has a record more; nil: nobody wants to know
	hook  func(*Record) // for tests, before an append is sent; nil: none
}

// A mark is a place in a shard's log.
type mark struct {
	seq    uint64
	digest string
}

// errNoStream means that the log of the run was there and was removed.
var errNoStream = damaged("the stream of the run is gone")

func (c *Conn) log(writer, pool, run string, shard int) *Log {
	return &Log{
		conn: c, name: runStream(run), writer: writer, filter: logSubject(pool, run, shard, "*"),
		own: logSubject(pool, run, shard, writer), late: lateSubject(pool, run, shard, writer),
	}
}

// openLog reads a shard's log, which must have what is known of it. A shard that was not opened is an
// error, and so is a run without a stream: an empty subject proves nothing.
func (c *Conn) openLog(ctx context.Context, writer, pool, run string, shard int, known mark) (*Log, error) {
	l := c.log(writer, pool, run, shard)
	l.known = known
	if _, err := l.read(ctx, ""); err != nil {
		return nil, err
	}
	switch s := l.Shard; {
	case l.known.seq > 0:
		return nil, damaged("record %d, which was there, is missing or another", l.known.seq)
	case s == nil:
		return nil, damaged("shard %d of run %s was not opened", shard, run)
	case s.Run != run || s.Number != shard || s.Pool != pool:
		return nil, damaged("shard %d of run %s in pool %s says that it is shard %d of run %s in pool %s", shard, run, pool, s.Number, s.Run, s.Pool)
	}
	return l, nil
}

// behindFor is how long a log may end before what was read or written of it: a replica that is behind
// catches up within it.
const behindFor = 3 * time.Second

// read adds what the log has beyond the last record, and reports whether the record with this nonce
// is among it.
func (l *Log) read(ctx context.Context, nonce string) (found bool, err error) {
	for began := time.Now(); ; {
		there := l.Seq == 0
		err := l.conn.messages(ctx, l.name, l.filter, max(l.Seq, 1), func(seq uint64, subject string, data []byte) error {
			if !there {
				if seq != l.Seq || digest(data) != l.Digest {
					return damaged("record %d is not there any more", l.Seq)
				}
				there = true
				return nil
			}
			_, _, _, _, writer, _ := parseSubject(subject)
			if _, err := l.ApplyFrom(writer, seq, data, l.conn.pack); err != nil {
				return err
			}
			if l.known == (mark{l.Seq, l.Digest}) {
				l.known = mark{}
			}
			if nonce != "" {
				r, err := DecodeRecord(data)
				found = found || err == nil && r.Nonce == nonce
			}
			return nil
		})
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound) && l.Seq > 0:
			return found, errNoStream
		case err != nil:
			return found, err
		case there:
			l.tell()
			return found, nil
		case time.Since(began) > behindFor:
			return found, damaged("the log had record %d, and ends before it", l.Seq)
		}
		if err := pause(ctx, behindFor/10); err != nil {
			return found, fmt.Errorf("reading the log of a shard: %w", err)
		}
	}
}

func (l *Log) tell() {
	if l.moved != nil {
		l.moved(mark{l.Seq, l.Digest})
	}
}

// Append appends a record, whose Nonce, Prev and Epoch it sets, and returns once that is certain. It
// tries until ctx ends or the connection's patience. The error is errFenced if somebody else has taken
// the shard, errDamaged if the log is not what it was, errNotWritten if the record is certainly not
// there; after any other nobody knows.
func (l *Log) Append(ctx context.Context, r *Record) error {
	if l.Err != nil {
		return l.Err
	}
	mine, epoch := l.Epoch, l.Epoch
	if r.Kind == KindTake || r.Kind == KindClose {
		epoch++
	}
	r.Nonce, r.Prev, r.Epoch = newNonce(), l.Digest, epoch
	message := r.Encode()
	if l.hook != nil {
		l.hook(r)
	}
	refused := true // each time, and for certain
	began := time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		seq, failed := l.publish(ctx, message)
		if failed == nil {
			_, err := l.applyRecord(seq, r, message, l.conn.pack)
			l.tell()
			return err
		}
		if !isConflict(failed) {
			// Not now, or no answer: only the log itself tells.
			refused = refused && isRefusal(failed)
			switch {
			case time.Since(began) < l.conn.patience:
			case refused:
				return fmt.Errorf("%w: %w", errNotWritten, failed)
			default:
				return fmt.Errorf("appending to the log of a shard for %v: %w", l.conn.patience, failed)
			}
			if time.Since(began) > stuckAfter {
				l.conn.tellStuck(failed)
			}
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("appending to the log of a shard: %w", err)
		}
		found, err := l.read(ctx, r.Nonce)
		switch {
		case errors.Is(err, errDamaged):
			l.Err = err
			return err
		case found && (l.Epoch == epoch || r.Kind == KindOpen): // a worker may have taken what is open already
			return nil
		case l.Epoch != mine, l.Done:
			return errFenced
		case l.Digest != r.Prev && r.Kind != KindWork:
			return errFenced // its owner lives
		case l.Digest != r.Prev:
			l.Err = damaged("record %d is not ours, and of our epoch", l.Seq)
			return l.Err
		case errors.Is(err, jetstream.ErrStreamNotFound) && refused: // nothing of the shard was there before
			return fmt.Errorf("%w: %w", errNotWritten, errNoRun)
		case errors.Is(err, jetstream.ErrStreamNotFound):
			l.Err = errNoStream
			return l.Err
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("appending to the log of a shard: %w", context.Cause(ctx))
		case isConflict(failed) && time.Since(began) > l.conn.patience: // and what is there does not tell why
			return fmt.Errorf("appending to the log of a shard for %v: %w", l.conn.patience, errors.Join(failed, err))
		}
	}
}

// publish appends a message if the last one of any writer is the one that was read.
func (l *Log) publish(ctx context.Context, message []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ack, err := l.conn.js.PublishMsg(ctx, &nats.Msg{Subject: l.own, Data: message},
		jetstream.WithExpectLastSequenceForSubject(l.Seq, l.filter), jetstream.WithExpectStream(l.name), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// isConflict reports whether the server refused an append because of its expected sequence.
func isConflict(err error) bool {
	api, ok := errors.AsType[jetstream.JetStreamError](err)
	return ok && api.APIError() != nil && (api.APIError().ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.APIError().ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// isRefusal reports whether the server says that it has not stored a message, or that nobody was there to store it.
func isRefusal(err error) bool {
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return true
	}
	api, ok := errors.AsType[jetstream.JetStreamError](err)
	return ok && api.APIError() != nil
}
