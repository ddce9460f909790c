package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// reading is a consumer that lives as long as it is read. JetStream's other ways to read a message
// name the subject in the request's body, which permissions cannot see; here it is in the subject.
type reading struct {
	Stream string        `json:"stream_name"`
	Config readingConfig `json:"config"`
}

type readingConfig struct {
	Name      string        `json:"name"`
	Deliver   string        `json:"deliver_subject"`
	Policy    string        `json:"deliver_policy"`
	From      uint64        `json:"opt_start_seq"`
	Filter    string        `json:"filter_subject"`
	Ack       string        `json:"ack_policy"`
	Replay    string        `json:"replay_policy"`
	Threshold time.Duration `json:"inactive_threshold"`
	Memory    bool          `json:"mem_storage"`
	Replicas  int           `json:"num_replicas"`
	Flow      bool          `json:"flow_control"`
	Beat      time.Duration `json:"idle_heartbeat"`
}

type readingMade struct {
	Error   *jetstream.APIError `json:"error"`
	Pending uint64              `json:"num_pending"`
}

// messages calls each for the messages of a stream that match the filter, from a sequence on: those
// that are there now. It ends at the first error of each.
func (c *Conn) messages(ctx context.Context, stream, filter string, from uint64, each func(seq uint64, subject string, data []byte) error) error {
	return c.stored(ctx, stream, filter, from, func(at *nats.MsgMetadata, m *nats.Msg) error { return each(at.Sequence.Stream, m.Subject, m.Data) })
}

// stored is messages, with what the server says of each.
func (c *Conn) stored(ctx context.Context, stream, filter string, from uint64, each func(at *nats.MsgMetadata, m *nats.Msg) error) error {
	failed := func(err error) error { return fmt.Errorf("reading %s: %w", filter, err) }
	inbox := c.nc.NewInbox()
	// Sent by the subscription, which waits until a message is taken or nobody wants any. A subscription
	// without a callback would have half a MiB of queue for what is mostly a handful of messages.
	arrived := make(chan *nats.Msg)
	over := make(chan struct{})
	defer close(over)
	sub, err := c.nc.Subscribe(inbox, func(m *nats.Msg) {
		select {
		case arrived <- m:
		case <-over:
		}
	})
	if err != nil {
		return failed(err)
	}
	defer func() { _ = sub.Unsubscribe() }()             // the server removes the consumer, which nobody hears
	if err := sub.SetPendingLimits(-1, -1); err != nil { // flow control bounds them
		return failed(err)
	}
	name := newNonce()
	body := encode(reading{stream, readingConfig{
		Name: name, Deliver: inbox, Policy: "by_start_sequence", From: from, Filter: filter, Ack: "none", Replay: "instant",
		Threshold: time.Second, Memory: true, Replicas: 1, Flow: true, Beat: 2 * time.Second,
	}})
	ask, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := c.nc.RequestWithContext(ask, "$JS.API.CONSUMER.CREATE."+stream+"."+name+"."+filter, body)
	if err != nil {
		return failed(err)
	}
	var made readingMade
	if err := json.Unmarshal(answer.Data, &made); err != nil {
		return failed(err)
	}
	if e := made.Error; e != nil {
		if e.ErrorCode == jetstream.JSErrCodeStreamNotFound {
			return failed(jetstream.ErrStreamNotFound)
		}
		return failed(errors.New(e.Description))
	}
	late := time.NewTimer(requestTimeout)
	defer late.Stop()
	for n := uint64(1); n <= made.Pending; {
		var m *nats.Msg
		select {
		case m = <-arrived:
		case <-late.C:
			return failed(context.DeadlineExceeded)
		case <-ctx.Done():
			return failed(context.Cause(ctx))
		}
		if c.isControl(m) {
			continue
		}
		at, err := m.Metadata()
		if err != nil || at.Sequence.Consumer != n {
			return failed(errors.New("the server has left out a message"))
		}
		if !matches(filter, m.Subject) {
			return damaged("the server gave %.80q for %s", m.Subject, filter)
		}
		if err := each(at, m); err != nil {
			return err
		}
		n++
		late.Reset(requestTimeout) // and not for messages about the delivery, which are no progress
	}
	return nil
}

// isControl reports whether a message is about the deliveries, and answers it.
func (c *Conn) isControl(m *nats.Msg) bool {
	if m.Header.Get("Status") != "100" {
		return false
	}
	for _, to := range []string{m.Reply, m.Header.Get("Nats-Consumer-Stalled")} {
		if strings.HasPrefix(to, "$JS.FC.") {
			_ = c.nc.Publish(to, nil) // it is asked again
		}
	}
	return true
}

// matches reports whether a subject is one of a filter's, whose last part may be *.
func matches(filter, subject string) bool {
	head, any := strings.CutSuffix(filter, "*")
	if !any {
		return subject == filter
	}
	last, ok := strings.CutPrefix(subject, head)
	return ok && last != "" && !strings.Contains(last, ".")
}

// A blob's message is the offset of its bytes, in decimal, a newline, and the bytes.
func blobMessage(at int, data []byte) []byte {
	return append(strconv.AppendInt(nil, int64(at), 10), append([]byte("\n"), data...)...)
}

func parseBlob(message []byte) (at int, data []byte, ok bool) {
	head, data, ok := bytes.Cut(message, []byte("\n"))
	at, err := strconv.Atoi(string(head))
	return at, data, ok && err == nil && at >= 0
}
