package cluster

import (
	"bytes"
	"fmt"
	"io"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A partWriter is one stream of a command, as its client writes it on a worker: it queues it for the log.
// It blocks while too much is queued, which blocks the host.
type partWriter struct {
	shard  *workerShard
	host   int
	stream fleet.Stream
	left   int64     // how much more goes into the log
	rest   io.Writer // of the worker's engine, which counts the rest
}

// Write implements io.Writer.
func (w *partWriter) Write(p []byte) (int, error) {
	n := int(min(int64(len(p)), w.left))
	if !w.shard.part(Part{w.host, w.stream, p[:n]}) {
		n = 0
	}
	w.left -= int64(n)
	if n == len(p) {
		return n, nil
	}
	m, err := w.rest.Write(p[n:])
	return n + m, err
}

// part queues a copy of a part. It reports false if nothing is written any more, or not of this host: its result, which
// may be in the log, is the end of its output. A client that has given a command up may pass on a last piece.
func (s *workerShard) part(p Part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.waits[p.Host] && s.bytes > 0 && s.bytes+len(p.Bytes)+partCost > maxQueue {
		s.signalHurry()
		s.room.Wait()
	}
	if s.err != nil || !s.waits[p.Host] {
		return false
	}
	if len(p.Bytes) > 0 {
		p.Bytes = bytes.Clone(p.Bytes)
		s.parts = append(s.parts, p)
		s.bytes += len(p.Bytes) + partCost
		s.signal()
	}
	return true
}

// streamed has the attempt's output written into the log as it comes.
func (s *workerShard) streamed(a *ssh.Attempt, host int) {
	limit := s.shard.Options.Stream
	a.Stdout = &partWriter{s, host, fleet.Stdout, limit, a.Stdout}
	a.Stderr = &partWriter{s, host, fleet.Stderr, limit, a.Stderr}
}

// part passes on what a command has written, unless the attempt has ended.
func (h *host) part(p Part) {
	h.sending.Lock()
	defer h.sending.Unlock()
	to := h.attempt.Stdout
	if p.Stream == fleet.Stderr {
		to = h.attempt.Stderr
	}
	if h.ended {
		return
	}
	if to != nil {
		_, _ = to.Write(p.Bytes) // as after any failed write, the rest is dropped
	}
	limit := h.c.Options.Stream
	before := h.passed[p.Stream]
	if h.passed[p.Stream] += int64(len(p.Bytes)); limit > 0 && before < limit && h.passed[p.Stream] >= limit && !h.c.Options.Pull {
		h.c.Notice(fmt.Sprintf("%s: its output is longer than what workers pass on (--max-output): the rest is only counted", h.attempt.Target.Host))
	}
}
