package sshtest

import (
	"context"
	"flag"
	"strings"
	"sync"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// Traits say in what a client differs from the default one.
type Traits struct {
	// Flags are in every end of an attempt that was logged in.
	Flags fleet.Flags
	// Lacks are the cases that do not apply to the client, by their names as t.Name has them,
	// with the reason.
	// A name also stands for the cases below it.
	Lacks map[string]string
}

// factory returns a Factory for the cases, which know no traits, and which skip reports to be
// lacking. check reports names in Lacks that are no case.
func (c Traits) factory(root string, newDialer Factory) (made Factory, skip, check func(testing.TB)) {
	var mu sync.Mutex
	met := make(map[string]bool)
	skip = func(t testing.TB) {
		name := strings.TrimPrefix(t.Name(), root+"/")
		for lacking, why := range c.Lacks {
			if name == lacking || strings.HasPrefix(name, lacking+"/") {
				mu.Lock()
				met[lacking] = true
				mu.Unlock()
				t.Skip(why)
			}
		}
	}
	made = func(t testing.TB, config Config) ssh.Dialer {
		skip(t)
		return flagged{newDialer(t, config), t, c.Flags}
	}
	return made, skip, func(t testing.TB) {
		for lacking := range c.Lacks {
			if !met[lacking] && flag.Lookup("test.run").Value.String() == "" {
				t.Errorf("there is no case %q", lacking)
			}
		}
	}
}

// flagged asserts that its ends have the flags, and removes them. As in a run, the context of Dial
// ends when Dial has returned.
type flagged struct {
	ssh.Dialer
	t     testing.TB
	flags fleet.Flags
}

func (f flagged) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := f.Dialer.Dial(ctx, a)
	if err != nil {
		return c, err
	}
	return flaggedConn{c, f}, nil
}

type flaggedConn struct {
	ssh.Conn
	of flagged
}

func (c flaggedConn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, func(end fleet.End) {
		if !end.Flags.Has(c.of.flags) {
			c.of.t.Errorf("flags %v, want %v among them", end.Flags, c.of.flags)
		}
		end.Flags &^= c.of.flags
		done(end)
	})
}
