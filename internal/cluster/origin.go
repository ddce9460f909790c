package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// An Origin tells the log that a shard was made for from another of its name: it is a message of the pool in the
// run's stream, and when the server has stored it. Whoever may remove and create logs can put a signed shard into a new
// one, where nobody has taken it; the time of a message is the server's to set.
type Origin struct {
	Seq  uint64 `json:"seq"`
	Time int64  `json:"time"` // in nanoseconds since 1970
}

func originSubject(pool, run string) string { return dataSubject(pool, run, "origin") }

// origin returns that of a pool, and stores it first.
func (c *Coordinator) origin(ctx context.Context, pool string) (Origin, error) {
	return c.origins.do(ctx, pool, func() (o Origin, err error) {
		subject := originSubject(pool, c.run)
		if err = c.conn.store(ctx, runStream(c.run), subject, []byte(newNonce())); err == nil {
			err = c.conn.stored(ctx, runStream(c.run), subject, 1, func(at *nats.MsgMetadata, _ *nats.Msg) error {
				o = Origin{at.Sequence.Stream, at.Timestamp.UnixNano()}
				return nil
			})
		}
		if err == nil && o == (Origin{}) {
			err = errors.New("it is not there")
		}
		if err != nil {
			return o, fmt.Errorf("storing the origin of the log: %w", err)
		}
		return o, nil
	})
}

// errOtherLog means that a shard is in a log that it was not made for.
var errOtherLog = errors.New("it was signed for another log of this name, which was removed")

// checkOrigin returns errOtherLog for a shard in another log, and other errors where that cannot be told. It tries until
// ctx ends or the connection's patience.
func (c *Conn) checkOrigin(ctx context.Context, s *Shard) error {
	for began := time.Now(); ; {
		found := false
		err := c.stored(ctx, runStream(s.Run), originSubject(s.Pool, s.Run), max(s.Log.Seq, 1), func(at *nats.MsgMetadata, _ *nats.Msg) error {
			found = found || s.Log == Origin{at.Sequence.Stream, at.Timestamp.UnixNano()}
			return nil
		})
		switch {
		case err == nil && !found:
			return errOtherLog
		case err == nil, errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, errDamaged), time.Since(began) > c.patience:
			return err
		}
		if pause(ctx, time.Second/2) != nil {
			return err
		}
	}
}
