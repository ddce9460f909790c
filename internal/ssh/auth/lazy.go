package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A lazy value is computed on first use by one caller while the others wait.
type lazy[T any] struct {
	// turn holds a token while no goroutine computes or reads the value. Whoever takes the
	// token puts it back; capacity 1.
	turn  chan struct{}
	made  bool
	value T
	err   error
}

func newLazy[T any]() *lazy[T] {
	l := &lazy[T]{turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// get returns the value and computes it with f on first use. The result of f is kept, also an
// error, unless ctx ended meanwhile: that error does not concern the next caller.
func (l *lazy[T]) get(ctx context.Context, f func() (T, error)) (T, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("waiting for another that loads it: %w", context.Cause(ctx))
	}
	defer func() { l.turn <- struct{}{} }()
	if l.made {
		return l.value, l.err
	}
	value, err := f()
	if err == nil || ctx.Err() == nil {
		l.made, l.value, l.err = true, value, err
	}
	return value, err
}

// A memo has a lazy value for each name. The zero value is empty.
type memo[T any] struct {
	mu     sync.Mutex
	values map[string]*lazy[T]
}

func (m *memo[T]) get(ctx context.Context, name string, f func() (T, error)) (T, error) {
	m.mu.Lock()
	l := m.values[name]
	if l == nil {
		if m.values == nil {
			m.values = make(map[string]*lazy[T])
		}
		l = newLazy[T]()
		m.values[name] = l
	}
	m.mu.Unlock()
	return l.get(ctx, f)
}

// Signers returns the keys to offer to t. A target without an endpoint fails with
// fleet.ReasonNoIdentity; the other errors are those of Set.Signers.
func (k *Keyring) Signers(ctx context.Context, t ssh.Target) ([]xssh.Signer, error) {
	if t.Endpoint == nil || t.Endpoint.Settings == nil {
		return nil, fail(t.Target, fleet.ReasonNoIdentity, fmt.Errorf("choosing keys: %w", ssh.ErrUnplanned))
	}
	set, err := k.Set(ctx, t.Endpoint.Settings.Keys)
	if err != nil {
		return nil, fail(t.Target, reasonOfWait(err), fmt.Errorf("loading keys: %w", err))
	}
	return set.Signers(ctx, t.Target)
}

// reasonOfWait returns the reason for a context that ended while keys were being loaded.
func reasonOfWait(err error) fleet.Reason {
	if errors.Is(err, context.DeadlineExceeded) {
		return fleet.ReasonAuthTimeout
	}
	return fleet.ReasonInterrupted
}
