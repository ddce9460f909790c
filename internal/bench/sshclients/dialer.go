package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/xcrypto"
)

// The clients that are compared.
const (
	clientExpress    = "express"                     // package ssh/client with its defaults
	clientGoroutines = "express, goroutines"         // one goroutine waits per connection
	clientFirst      = "express, nothing remembered" // without the host cache
	clientStandard   = "standard"                    // package ssh/xcrypto
	clientCrypto     = "x/crypto/ssh"                // the library as its documentation shows it
	clientRun        = "shoal.Run"                   // a whole run with ssh/client
	clientRunStd     = "shoal.Run, standard"         // a whole run with ssh/xcrypto
	clientProgram    = "shoal run, journal"          // the program; not one of our children
	clientSSH        = "ssh"                         // the program; not one of our children
)

func (j job) open(ctx context.Context, a *access) (measuredClient, error) {
	switch j.Client {
	case clientCrypto:
		return &library{job: j, access: a}, nil
	case clientRun, clientRunStd:
		return j.openRun(ctx)
	}
	return j.openDialer(a, nil)
}

// openDialer opens a Dialer to be used without the engine.
func (j job) openDialer(a *access, n ssh.Network) (*viaDialer, error) {
	if j.Client == clientStandard {
		d, err := xcrypto.New(xcrypto.Options{HostKeys: a, Identities: a, Network: n})
		return &viaDialer{job: j, dialer: d, end: func() error { return nil }}, err
	}
	o := client.Options{HostKeys: a, Identities: a, Network: n, Classical: j.Kex == kexClassical}
	switch j.Client {
	case clientExpress, clientFirst:
	case clientGoroutines:
		o.Park = client.ParkGoroutine
	default:
		return nil, fmt.Errorf("there is no client %q", j.Client)
	}
	if j.State != "" && j.Client != clientFirst {
		var err error
		if o.Memory, err = hostcache.Open(j.State, hostcache.Options{}); err != nil {
			return nil, err
		}
	}
	d, err := client.New(o)
	if err != nil {
		return nil, err
	}
	return &viaDialer{job: j, dialer: d, end: func() error { return errors.Join(d.Close(), o.Memory.Close()) }}, nil
}

// viaDialer makes a client of an ssh.Dialer.
type viaDialer struct {
	job    job
	dialer ssh.Dialer
	end    func() error
}

func (d *viaDialer) close() error { return d.end() }

// begin starts the command on host i. done is as in ssh.Conn.
func (d *viaDialer) begin(ctx context.Context, i int, command string, stdout, stderr io.Writer, done func(fleet.End)) (*ssh.Attempt, ssh.Conn, error) {
	t, err := d.job.target(i, command)
	if err != nil {
		return nil, nil, err
	}
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: t}, Stdout: stdout, Stderr: stderr}
	c, err := d.dialer.Dial(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	c.Start(ctx, done)
	return a, c, nil
}

func (d *viaDialer) run(ctx context.Context, i int) error {
	var stdout, stderr count
	ended := make(chan fleet.End, 1) // sent once by begin's done
	_, c, err := d.begin(ctx, i, d.job.Command, &stdout, &stderr, func(e fleet.End) { ended <- e })
	if err != nil {
		return err
	}
	end := <-ended
	if err := c.Close(); err != nil {
		return err
	}
	if end.Outcome != fleet.OutcomeOK {
		return fmt.Errorf("ended %v: %w", end.Outcome, end.Err)
	}
	return d.job.checkOutput(int64(stdout), int64(stderr))
}

// pollEvery is how often hold checks whether the command has started.
const pollEvery = time.Millisecond

// hold keeps the connection open until its command ends, which happens when ctx
// does.
func (d *viaDialer) hold(ctx context.Context, i int, done func()) error {
	var over atomic.Bool // the command has ended
	a, _, err := d.begin(ctx, i, d.job.Command, io.Discard, io.Discard, func(fleet.End) { over.Store(true); done() })
	if err != nil {
		return err
	}
	for a.Timeline.Phase() != fleet.PhaseRun {
		if over.Load() {
			return errors.New("the command has ended already")
		}
		time.Sleep(pollEvery)
	}
	return nil
}

// target returns host i as the engine would pass it.
func (j job) target(i int, command string) (fleet.Target, error) {
	name, port, err := net.SplitHostPort(j.Hosts[i%len(j.Hosts)])
	if err != nil {
		return fleet.Target{}, fmt.Errorf("reading a host: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fleet.Target{}, fmt.Errorf("reading a port: %w", err)
	}
	return fleet.Target{
		Host: fleet.Host{Name: name, Port: uint16(n)}, Index: i, User: j.User, Port: uint16(n), Command: command,
	}, nil
}

// checkOutput returns an error unless the command's output has the expected
// size.
func (j job) checkOutput(stdout, stderr int64) error {
	if stdout != j.Bytes || stderr != 0 {
		return fmt.Errorf("%d bytes of output and %d of errors, want %d and none", stdout, stderr, j.Bytes)
	}
	return nil
}
