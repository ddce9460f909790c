package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"shoal/internal/hint"
)

// maxRuns caps the streams of runs: a server keeps each in memory in part.
const maxRuns = 500

// createStreams creates the streams that all runs share, where they are missing.
func (c *Conn) createStreams(ctx context.Context) error {
	for _, s := range []jetstream.StreamConfig{
		{
			Name: workStream, Subjects: []string{"work.>"}, Description: "hints that shards wait for workers", Retention: jetstream.WorkQueuePolicy,
			MaxMsgsPerSubject: 1, MaxAge: 24 * time.Hour, MaxMsgSize: 64 << 10,
		},
		{
			Name: beatStream, Subjects: []string{"beat.>"}, Description: "the workers' last signs of life", Storage: jetstream.MemoryStorage,
			MaxMsgsPerSubject: 1, MaxAge: time.Hour, MaxMsgSize: 64 << 10,
		},
	} {
		if err := c.create(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// replicas is on how many servers of a cluster a stream is: one of them may be lost.
const replicas = 3

// newStream creates a stream, on three servers if NATS is a cluster that has them. A cluster that has just
// begun, or has lost its leader, is waited for.
func (c *Conn) newStream(ctx context.Context, s jetstream.StreamConfig) (jetstream.Stream, error) {
	if c.nc.ConnectedClusterName() != "" {
		s.Replicas = replicas
	}
	for began := time.Now(); ; {
		stream, err := c.js.CreateStream(ctx, s)
		api, ok := errors.AsType[*jetstream.APIError](err)
		waits := s.Replicas > 1 && time.Since(began) <= 2*leaderless
		switch {
		case err == nil:
			return stream, nil
		case waits && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil: // nobody answers while a leader is elected
		case ok && s.Replicas > 1 && (api.ErrorCode == noPeers || api.ErrorCode == insufficient) && time.Since(began) > leaderless:
			c.notice(fmt.Sprintf("the cluster of NATS has fewer than %d servers that could keep %s: one of them keeps it, and the run waits if that one is away", replicas, s.Name))
			s.Replicas = 1
			continue
		case !waits || !ok || api.Code != 503 && api.ErrorCode != noPeers:
			return nil, err
		}
		if err := pause(ctx, leaderless/20); err != nil {
			return nil, err
		}
	}
}

const (
	// The server's codes for too few servers that could have a stream.
	noPeers, insufficient = 10005, 10023

	// leaderless is how long the servers of a cluster may take to agree on a leader.
	leaderless = 10 * time.Second
)

func (c *Conn) create(ctx context.Context, s jetstream.StreamConfig) error {
	if _, err := c.js.Stream(ctx, s.Name); err == nil {
		return nil
	}
	if _, err := c.newStream(ctx, s); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		err = fmt.Errorf("creating the stream %s: %w", s.Name, err)
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return hint.Wrap(err, "the NATS server needs JetStream: nats-server -js, or shoal-hub")
		}
		return err
	}
	return nil
}

// createRun creates the stream of a run. It must be new.
func (c *Conn) createRun(ctx context.Context, run string) (jetstream.Stream, error) {
	if err := c.createStreams(ctx); err != nil {
		return nil, err
	}
	kept := 0
	names := c.js.StreamNames(ctx, jetstream.WithStreamListSubject("log.>"))
	var old []string
	for name := range names.Name() {
		if isOldQuery(strings.TrimPrefix(name, runPrefix), time.Now()) {
			old = append(old, name)
			continue
		}
		kept++
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("counting the runs in NATS: %w", err)
	}
	for _, name := range old {
		_ = c.js.DeleteStream(ctx, name) // the next one tries again
	}
	if kept >= maxRuns {
		return nil, hint.Wrap(fmt.Errorf("NATS keeps the logs of %d runs, which is the limit", kept), "shoal attach RUN ends a run that lost its coordinator, and removes its log")
	}
	stream, err := c.newStream(ctx, jetstream.StreamConfig{
		Name: runStream(run), Subjects: []string{"log.*." + run + ".*.*", "late.*." + run + ".*.*", dataSubject("*", run, "*")}, Description: "the logs of a run's shards",
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true, MaxMsgSize: maxMessage,
	})
	if err == nil && stream.CachedInfo().State.LastSeq > 0 { // the server takes one that is as it should be for a success
		err = hint.New("NATS has it already", "shoal attach gets what is in it; shoal resume begins another")
	}
	if err != nil {
		return nil, fmt.Errorf("creating the log of run %s: %w", run, err)
	}
	return stream, nil
}

// consumer returns the consumer of a pool's hints.
func (c *Conn) consumer(ctx context.Context, pool string) (jetstream.Consumer, error) {
	consumer, err := c.js.CreateOrUpdateConsumer(ctx, workStream, jetstream.ConsumerConfig{
		Durable: "pool-" + pool, FilterSubject: "work." + pool + ".>", AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: 10 * time.Second, MaxAckPending: 10_000,
	})
	if err != nil {
		return nil, fmt.Errorf("the deliveries of pool %s: %w", pool, err)
	}
	return consumer, nil
}

// Logs returns the names of the logs that NATS has of a run: its own, and those since it was resumed, in
// this order.
func (c *Conn) Logs(ctx context.Context, run string) (list []string, err error) {
	names := c.js.StreamNames(ctx, jetstream.WithStreamListSubject("log.>"))
	for name := range names.Name() {
		name = strings.TrimPrefix(name, runPrefix)
		if rest, ok := strings.CutPrefix(name, run); ok && (rest == "" || rest[0] == '-' && allDigits(rest[1:])) {
			list = append(list, name)
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("looking for the logs of run %s: %w", run, err)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return list, nil
}

func allDigits(text string) bool { _, ok := parseNumber(text); return ok }

// A Presence is a worker's last sign of life.
type Presence struct {
	Beat
	Age time.Duration // by the server's clock
}

// Here reports whether the worker takes shards, as far as is known.
func (p Presence) Here() bool { return !p.Gone && p.Age < 3*beatEvery }

// Workers returns the last signs of life, of an hour at most. Workers that are there are asked for one
// first, and have half a second.
func (c *Conn) Workers(ctx context.Context) ([]Presence, error) {
	if err := c.createStreams(ctx); err != nil {
		return nil, err
	}
	if err := c.nc.Publish("who", nil); err != nil {
		return nil, fmt.Errorf("asking who is there: %w", err)
	}
	time.Sleep(500 * time.Millisecond)
	stream, err := c.js.Stream(ctx, beatStream)
	if err != nil {
		return nil, fmt.Errorf("reading who is there: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("beat.>"))
	if err != nil {
		return nil, fmt.Errorf("reading who is there: %w", err)
	}
	var signs []Presence
	for _, subject := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // it was an hour old
		}
		if err != nil {
			return nil, fmt.Errorf("reading who is there: %w", err)
		}
		if b, ok := decode[Beat](m.Data); ok && subject == beatSubject(b.Pool, b.Worker) {
			signs = append(signs, Presence{b, max(0, info.TimeStamp.Sub(m.Time))})
		}
	}
	return signs, nil
}
