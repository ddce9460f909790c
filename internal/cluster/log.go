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

// A Log is the log of one shard, as one process reads and appends to it. It has no lock.
type Log struct {
	Fold
	conn    *Conn
	stream  jetstream.Stream
	subject string
	late    string

	hook func(*Record) // for tests, before an append is sent; nil: none
}

// errNoStream means that the log of the run was there and was removed.
var errNoStream = damaged("the stream of the run is gone")

// openLog reads a shard's log. A shard that was not opened is an error, and so is a run
// without a stream: an empty subject proves nothing.
func (c *Conn) openLog(ctx context.Context, pool, run string, shard int) (*Log, error) {
	stream, err := c.js.Stream(ctx, runStream(run))
	if err != nil {
		return nil, fmt.Errorf("the log of run %s: %w", run, err)
	}
	l := &Log{conn: c, stream: stream, subject: logSubject(pool, run, shard), late: lateSubject(pool, run, shard)}
	if _, err := l.read(ctx, ""); err != nil {
		return nil, err
	}
	switch s := l.Shard; {
	case s == nil:
		return nil, damaged("shard %d of run %s was not opened", shard, run)
	case s.Run != run || s.Number != shard || s.Pool != pool:
		return nil, damaged("shard %d of run %s in pool %s says that it is shard %d of run %s in pool %s", shard, run, pool, s.Number, s.Run, s.Pool)
	}
	return l, nil
}

// read adds what the log has beyond the last record, and reports whether the record with this nonce
// is among it.
func (l *Log) read(ctx context.Context, nonce string) (found bool, err error) {
	for {
		ask, cancel := context.WithTimeout(ctx, requestTimeout)
		m, err := l.stream.GetMsg(ask, l.Seq+1, jetstream.WithGetMsgSubject(l.subject))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return found, l.notBehind(ctx)
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return found, errNoStream
		}
		if err != nil {
			return found, fmt.Errorf("reading the log of a shard: %w", err)
		}
		if m.Subject != l.subject {
			return found, damaged("the server gave a record of %.80q", m.Subject)
		}
		if _, err := l.Apply(m.Sequence, m.Data, l.conn.pack); err != nil {
			return found, err
		}
		if r, err := DecodeRecord(m.Data); err == nil && nonce != "" && r.Nonce == nonce {
			found = true
		}
	}
}

// notBehind returns an error if the log ends before what was read or written.
func (l *Log) notBehind(ctx context.Context) error {
	if l.Seq == 0 {
		return nil
	}
	ask, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch m, err := l.stream.GetLastMsgForSubject(ask, l.subject); {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return damaged("record %d is not there any more", l.Seq)
	case err != nil:
		return fmt.Errorf("reading the log of a shard: %w", err)
	case m.Sequence < l.Seq:
		return damaged("the log ends with record %d, and had record %d", m.Sequence, l.Seq)
	}
	return nil
}

// Append appends a record, whose Nonce, Prev and Epoch it sets, and returns once that is certain. It
// tries until ctx ends. The error is errFenced if somebody else has taken the shard, and
// errDamaged if the log is not what it was; after any other nobody knows whether it is there.
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
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		switch seq, err := l.publish(ctx, message); {
		case err == nil:
			_, err := l.Apply(seq, message, l.conn.pack)
			return err
		case !jetstreamConflict(err):
			// Not now, or no answer: only the log itself tells.
			if err := pause(ctx, wait); err != nil {
				return fmt.Errorf("appending to the log of a shard: %w", err)
			}
		}
		found, err := l.read(ctx, r.Nonce)
		switch {
		case errors.Is(err, errDamaged):
			l.Err = err
			return err
		case found && l.Epoch == epoch:
			return nil
		case l.Epoch != mine, l.Done:
			return errFenced
		case l.Digest != r.Prev && r.Kind != KindWork:
			return errFenced // its owner lives
		case l.Digest != r.Prev:
			l.Err = damaged("record %d is not ours, and of our epoch", l.Seq)
			return l.Err
		case err != nil:
			if ctx.Err() != nil {
				return fmt.Errorf("appending to the log of a shard: %w", context.Cause(ctx))
			}
		}
	}
}

func (l *Log) publish(ctx context.Context, message []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ack, err := l.conn.js.PublishMsg(ctx, &nats.Msg{Subject: l.subject, Data: message},
		jetstream.WithExpectLastSequencePerSubject(l.Seq), jetstream.WithExpectStream(l.stream.CachedInfo().Config.Name), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// jetstreamConflict reports whether the server refused an append because of its expected sequence.
func jetstreamConflict(err error) bool {
	api, ok := errors.AsType[jetstream.JetStreamError](err)
	return ok && api.APIError() != nil && (api.APIError().ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.APIError().ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
