package run

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path/filepath"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/holder"
	"shoal/internal/run"
)

// HolderDir returns a state directory as the process that holds connections knows it; "" means
// none.
func HolderDir(stateDir string) (string, error) {
	if stateDir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(stateDir)
	if err != nil {
		return "", fmt.Errorf("finding the state directory: %w", err)
	}
	return dir, nil
}

// setPersist has another process hold the connections, if the flags say so.
func (f *ControlFlags) setPersist(o *connect.Options) error {
	switch {
	case f.persist == 0 && f.maxAge != 0:
		return hint.New("--hold-max-age is for connections that are held", "--persist holds them")
	case f.persist == 0:
		return nil
	}
	dir, err := HolderDir(o.StateDir)
	if err != nil {
		return err
	}
	o.Persist = &connect.Persist{
		Idle: f.persist.Duration(), MaxAge: f.maxAge.Duration(),
		Connect: func(ctx context.Context) (net.Conn, error) {
			return holder.Connect(ctx, dir, []string{"persist", "hold", "--state-dir", cmp.Or(dir, "none")})
		},
	}
	return nil
}

// Withhold keeps secret variables, and a password for becoming another user, from the process that
// holds connections: they would pass through it, as standard input.
func Withhold(o *connect.Options, w run.Remote) {
	if o.Persist != nil && (w.Secrets != nil || w.Become != nil && w.Become.Passwords != nil) {
		o.Persist.Without = fleet.DialPassword
	}
}
