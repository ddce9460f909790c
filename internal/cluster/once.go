package cluster

import (
	"context"
	"sync"
)

// once does what is to be done once for each key, such as storing it: whoever else needs it meanwhile waits for that and for no other
// key. What has failed is done again for the next one. The zero value is ready to use.
type once[T any] struct {
	mu    sync.Mutex
	calls map[string]*call[T]
}

type call[T any] struct {
	over  chan struct{} // closed when the rest is set
	value T
	err   error
}

// do returns what f returns, or has returned for the key without an error.
func (o *once[T]) do(ctx context.Context, key string, f func() (T, error)) (value T, err error) {
	o.mu.Lock()
	c, there := o.calls[key]
	if !there {
		if o.calls == nil {
			o.calls = make(map[string]*call[T])
		}
		c = &call[T]{over: make(chan struct{})}
		o.calls[key] = c
	}
	o.mu.Unlock()
	if there {
		select {
		case <-c.over:
			return c.value, c.err
		case <-ctx.Done():
			return value, context.Cause(ctx)
		}
	}
	defer close(c.over)
	if c.value, c.err = f(); c.err != nil {
		o.mu.Lock()
		delete(o.calls, key)
		o.mu.Unlock()
	}
	return c.value, c.err
}
