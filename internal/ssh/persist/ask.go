package persist

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
)

// A Request is what a holder is asked for beside runs.
type Request uint8

// The requests.
const (
	Query   = Request(purposeStatus)
	Refresh = Request(purposeRefresh) // close all connections, those in use when they are free
	Stop    = Request(purposeStop)
)

// Ask asks the holder at the other end of c, which it closes, and returns its Status before it does
// what it is asked for.
func Ask(ctx context.Context, c net.Conn, r Request) (Status, error) {
	l, _, said, err := greet(ctx, c, hello{purpose: purpose(r)})
	if err != nil {
		return Status{}, err
	}
	l.close(errLinkClosed)
	l.writer.Wait()
	var s Status
	if err := json.Unmarshal(said, &s); err != nil {
		return Status{}, fmt.Errorf("reading what the holder says of itself: %w", err)
	}
	return s, nil
}
