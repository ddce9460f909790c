package openssh

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/xcrypto"
)

// shared returns a connection over a master that is open at ControlPath already, or neither a
// connection nor a failure if there is none that can be used. The host key was checked and the
// login made by the user's own ssh, which opened it and keeps it.
func (d *Dialer) shared(ctx context.Context, a *ssh.Attempt) (ssh.Conn, *fleet.Error) {
	path := a.Target.Settings().Program.ControlPath
	if path == "" || !ownSocket(path) || a.WantsAgent() { // it forwards what its own user wants
		return nil, nil
	}
	control, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil // left over by one that has ended
	}
	m := &openMaster{attempt: a, path: path}
	c, err := xcrypto.Control(ctx, a, control, m, d.opts.Timeouts.For(a), d.opts.Clock, fleet.FlagOpenSSH)
	if err == nil {
		return c, nil
	}
	if ctx.Err() == nil { // a master that is ending, or too old for the proxy mode
		return nil, nil
	}
	return nil, asFailure(a, err)
}

// ownSocket reports whether path is a socket of this user.
func ownSocket(path string) bool {
	mine := func(info fs.FileInfo) bool {
		owner, ok := info.Sys().(*syscall.Stat_t)
		return ok && int(owner.Uid) == os.Geteuid()
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket && mine(info)
}

// An openMaster is a master that is not ours. It implements xcrypto.Master.
type openMaster struct {
	attempt *ssh.Attempt
	path    string
}

// Ended implements xcrypto.Master.
func (m *openMaster) Ended() *fleet.Error {
	return m.attempt.Fail(m.attempt.Execution.Failed(), fleet.ReasonConnClosed,
		fmt.Errorf("the ssh that holds the connection at %q ended it", m.path))
}

// Release implements xcrypto.Master. The master stays open.
func (m *openMaster) Release() {}
