package main

import (
	"context"
	"errors"
	"fmt"
)

// flightsPart counts round trips. They depend on the protocol only, not on the
// machine: one measurement is enough.
func (c *comparison) flightsPart(ctx context.Context) error {
	sshd, err := c.startSSHD(ctx, "OpenSSH", "")
	if err != nil {
		return err
	}
	defer func() { _ = sshd.end() }()
	fleet, end, err := c.startFleet(ctx, 1)
	if err != nil {
		return err
	}
	return errors.Join(c.flightsTable(ctx, sshd, fleet), end())
}

func (c *comparison) flightsTable(ctx context.Context, servers ...*server) error {
	c.section("Round trips from SYN to the last answer", "flights", "client", "server", "key exchange", "first contact", "remembered")
	for _, s := range servers {
		for _, client := range []string{clientExpress, clientStandard, clientCrypto} {
			kex := kexHybrid
			if s.cmd != nil {
				kex = kexClassical
			}
			if err := c.flightsRow(ctx, s, client, kex); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *comparison) flightsRow(ctx context.Context, s *server, client, kex string) error {
	state, err := c.newState()
	if err != nil {
		return err
	}
	j := job{
		Task: taskFlights, Client: client, Kex: kex,
		Hosts: s.hosts, User: s.user, Key: s.key, KnownHosts: s.knownHosts, State: state,
		Command: "echo hello", Bytes: int64(len("hello\n")),
	}
	if client == clientExpress {
		j.Kex = kexHybrid // its default preference; the server may lack it
	}
	t, err := c.child(ctx, j)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", s.name, client, err)
	}
	c.row(client, s.name, kex, fmt.Sprint(t.First), fmt.Sprint(t.Remembered))
	return nil
}
