package hold

import (
	"context"
	"errors"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// An ended is a Dialer whose connections have ended by the time that the pool asks to be told: a server
// may close one right behind the login.
type ended struct{ ssh.Dialer }

// Dial implements ssh.Dialer.
func (d ended) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := d.Dialer.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	return endedConn{c.(ssh.Keeper)}, nil
}

type endedConn struct{ ssh.Keeper }

// OnEnd implements ssh.Keeper.
func (endedConn) OnEnd(f func(cause error)) { f(errors.New("the server closed the connection")) }

func TestEndedAtOnce(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	r.inner = ended{r.inner}
	if end, _, _ := r.run(t.Context(), 0, "echo ran"); end.Outcome != fleet.OutcomeNeverStarted {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
	if r.Idle() != 0 || r.Used() != 0 {
		t.Errorf("%d idle, %d used", r.Idle(), r.Used())
	}
}
