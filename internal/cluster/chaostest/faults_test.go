package chaostest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A fault breaks something, and mends it before it returns.
type fault struct {
	name    string
	cluster bool // it needs three servers
	stalls  bool // while it lasts, workers may not be able to store what they know
	do      func(w *world, r *rand.Rand)
}

// upTo returns a time from a tenth of d up to d.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return d/10 + time.Duration(r.Int64N(int64(d*9/10)))
}

var faults = []fault{
	{name: "worker killed", do: func(w *world, r *rand.Rand) {
		began := time.Now()
		taken := w.take(r.IntN(3))
		taken.process.kill()
		w.pause(upTo(r, 2*time.Second))
		w.startWorker()
		w.note(began, "worker killed", true, "%s killed", taken.process.name)
	}},
	{name: "worker stopped", stalls: true, do: func(w *world, r *rand.Rand) {
		began := time.Now()
		taken := w.take(r.IntN(3))
		taken.process.stopped(upTo(r, 12*time.Second))
		w.giveBack(taken)
		w.note(began, "worker stopped", false, "%s stopped", taken.process.name)
	}},
	{name: "worker leaves", do: func(w *world, r *rand.Rand) {
		began := time.Now()
		taken := w.take(r.IntN(3))
		taken.process.send(syscall.SIGINT)
		w.startWorker()
		<-taken.process.ended
		w.note(began, "worker leaves", false, "%s left", taken.process.name)
	}},
	{name: "worker cut off", stalls: true, do: func(w *world, r *rand.Rand) {
		began := time.Now()
		taken := w.take(r.IntN(3))
		w.cut(r, taken.line, upTo(r, 15*time.Second))
		w.giveBack(taken)
		w.note(began, "worker cut off", false, "%s cut off", taken.process.name)
	}},
	{name: "coordinator killed", do: func(w *world, _ *rand.Rand) {
		began := time.Now()
		if p := w.current(); p != nil {
			p.kill()
			w.note(began, "coordinator killed", false, "%s killed", p.name)
		}
	}},
	{name: "coordinator stopped", do: func(w *world, r *rand.Rand) {
		began := time.Now()
		if p := w.current(); p != nil {
			p.stopped(upTo(r, 12*time.Second))
			w.note(began, "coordinator stopped", false, "%s stopped", p.name)
		}
	}},
	{name: "coordinator cut off", do: func(w *world, r *rand.Rand) {
		began := time.Now()
		w.cut(r, w.front, upTo(r, 12*time.Second))
		w.note(began, "coordinator cut off", false, "the coordinator cut off")
	}},
	{name: "connections broken", stalls: true, do: func(w *world, _ *rand.Rand) {
		began := time.Now()
		w.mu.Lock()
		lines := []*line{w.front}
		for _, worker := range w.workers {
			lines = append(lines, worker.line)
		}
		w.mu.Unlock()
		for _, l := range lines {
			for _, p := range l.proxies {
				p.breakAll()
			}
		}
		w.note(began, "connections broken", false, "all connections broken")
	}},
	{name: "server killed", stalls: true, do: func(w *world, r *rand.Rand) {
		began := time.Now()
		s := w.servers[r.IntN(len(w.servers))]
		s.process.kill()
		w.pause(upTo(r, 3*time.Second))
		s.restart()
		w.note(began, "server killed", false, "%s killed", s.name)
	}},
	{name: "server stopped", stalls: true, do: func(w *world, r *rand.Rand) {
		began := time.Now()
		s := w.servers[r.IntN(len(w.servers))]
		s.process.stopped(upTo(r, 10*time.Second))
		w.note(began, "server stopped", false, "%s stopped", s.name)
	}},
	{name: "server restarted", stalls: true, do: func(w *world, r *rand.Rand) {
		began := time.Now()
		s := w.servers[r.IntN(len(w.servers))]
		s.process.send(syscall.SIGTERM)
		<-s.process.ended
		s.restart()
		w.note(began, "server restarted", false, "%s restarted", s.name)
	}},
	{name: "leaders step down", cluster: true, stalls: true, do: func(w *world, _ *rand.Rand) {
		began := time.Now()
		var moved []string
		err := w.asks(func(nc *nats.Conn, js jetstream.JetStream) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			names := js.StreamNames(ctx)
			for name := range names.Name() {
				m, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+name, nil)
				if err == nil && !strings.Contains(string(m.Data), `"error"`) {
					moved = append(moved, name)
				}
			}
			return names.Err()
		})
		w.note(began, "leaders step down", false, "the leaders of %q stepped down: %v", moved, err)
	}},
	{name: "hints lost", do: func(w *world, _ *rand.Rand) {
		began := time.Now()
		err := w.asks(func(_ *nats.Conn, js jetstream.JetStream) error {
			return js.DeleteStream(context.Background(), "SHOAL_WORK")
		})
		w.note(began, "hints lost", false, "all hints lost: %v", err)
	}},
	{name: "hints repeated", do: func(w *world, _ *rand.Rand) {
		began := time.Now()
		sent := 0
		err := w.asks(func(nc *nats.Conn, js jetstream.JetStream) error {
			names := js.StreamNames(context.Background(), jetstream.WithStreamListSubject("log.>"))
			for name := range names.Name() {
				for shard := range 200 {
					_ = nc.Publish(fmt.Sprintf("work.default.%s.%d", strings.TrimPrefix(name, "SHOAL_RUN_"), shard), nil)
					sent++
				}
			}
			return nc.Flush()
		})
		w.note(began, "hints repeated", false, "%d hints repeated: %v", sent, err)
	}},
}

// cut drops what passes a line, for a time. Then it arrives, or the connections break.
func (w *world) cut(r *rand.Rand, l *line, d time.Duration) {
	for _, p := range l.proxies {
		p.drop()
	}
	w.pause(d)
	breaks := r.IntN(2) == 0
	for _, p := range l.proxies {
		p.heal(breaks)
	}
}
