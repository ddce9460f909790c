package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fleetHosts is the number of the fleet's hosts that the CPU part uses in turn.
const fleetHosts = 256

const cryptoAlone = "the cryptography alone"

// cpuPart measures the client's CPU time per host.
func (c *comparison) cpuPart(ctx context.Context) error {
	sshd, err := c.startSSHD(ctx, "OpenSSH", "")
	if err != nil {
		return err
	}
	defer func() { _ = sshd.end() }()
	fleet, end, err := c.startFleet(ctx, fleetHosts)
	if err != nil {
		return err
	}
	err = errors.Join(
		c.cpuTable(ctx, sshd, kexClassical, c.settings.sshd),
		c.cpuTable(ctx, fleet, kexClassical, c.settings.connections),
		c.cpuTable(ctx, fleet, kexHybrid, c.settings.connections),
	)
	return errors.Join(err, end())
}

// cpuTable measures one server with one key exchange, with many connections at
// once and with one at a time.
func (c *comparison) cpuTable(ctx context.Context, s *server, kex string, n int) error {
	c.section(fmt.Sprintf("CPU of the client per host: %s, %s, %d connections", s.name, kex, n), "cpu",
		"client", "at once", "CPU per host (ms)", "of it system", "× x/crypto/ssh", "× connect/standard", "× cryptography")
	for _, atOnce := range []int{100, 1} {
		if atOnce == 1 && s.cmd != nil {
			n = max(n/10, 1) // without early messages each connection waits 80 ms for delayed ACKs
		}
		all := []turn{c.cryptoTurn(kex, n)}
		for _, client := range cpuClients(s, kex) {
			all = append(all, c.cpuTurn(s, client, kex, n, atOnce))
		}
		if s.cmd == nil && atOnce > 1 {
			all = append(all, c.programTurn(s, kex, n, atOnce))
		}
		got, err := c.turns(ctx, fmt.Sprintf("CPU, %s, %s, %d at once", s.name, kex, atOnce), all)
		if err != nil {
			return err
		}
		for _, t := range all {
			c.row(t.name, fmt.Sprint(atOnce), fmt.Sprintf("%.3f", got.median(t.name, "cpu")), fmt.Sprintf("%.3f", got.median(t.name, "system")),
				got.ratio(t.name, clientCrypto, "cpu"), got.ratio(t.name, clientStandard, "cpu"), got.ratio(t.name, cryptoAlone, "cpu"))
		}
	}
	return nil
}

// cpuClients returns the clients that can use this key exchange with the
// server. xcrypto uses the library's order, where the hybrid one is first.
func cpuClients(s *server, kex string) []string {
	all := []string{clientExpress, clientGoroutines, clientFirst, clientRun, clientCrypto}
	if s.cmd != nil || kex == kexHybrid {
		all = append(all, clientStandard, clientRunStd)
	}
	return all
}

func (c *comparison) cpuTurn(s *server, client, kex string, n, atOnce int) turn {
	return turn{client, func(ctx context.Context) (figures, error) {
		state, err := c.newState()
		if err != nil {
			return nil, err
		}
		t, err := c.child(ctx, job{
			Task: taskConnect, Client: client, Kex: kex,
			Hosts: s.hosts, User: s.user, Key: s.key, KnownHosts: s.knownHosts, State: state,
			Command: "echo hello", Bytes: int64(len("hello\n")), Connections: n, AtOnce: atOnce,
		})
		return t.perHost(n), err
	}}
}

// programTurn measures shoal run as people start it: with its journal, and from its start to its end.
// The hosts are those of the others, each several times; an earlier run has made them known.
func (c *comparison) programTurn(s *server, kex string, n, atOnce int) turn {
	return turn{clientProgram, func(ctx context.Context) (figures, error) {
		state, err := c.newState()
		if err != nil {
			return nil, err
		}
		hosts := filepath.Join(state, "hosts")
		if err := os.WriteFile(hosts, []byte(strings.Join(s.hosts, "\n")+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("writing the hosts: %w", err)
		}
		each := max(1, n/len(s.hosts))
		args := []string{
			"run", "-F", "none", "-o", "KexAlgorithms=" + kex, "--no-agent", "-l", s.user, "--identity", s.key,
			"--known-hosts", s.knownHosts, "--state-dir", state, "--hostfile", hosts, "-f", strconv.Itoa(atOnce),
			"--starts-per-host", "-1", "--progress=never", "-b",
		}
		if _, err := c.shoal(ctx, append(args, "echo hello")); err != nil {
			return nil, err
		}
		t, err := c.shoal(ctx, append(args, "--repeat", strconv.Itoa(each), "echo hello"))
		return t.perHost(each * len(s.hosts)), err
	}}
}

// shoal runs the program on the client's processor, and returns its CPU time. Its exit status says
// whether each command ended well.
func (c *comparison) shoal(ctx context.Context, args []string) (t taken, err error) {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.settings.shoal, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	begun := time.Now()
	if err := c.clients.start(cmd.Start); err != nil {
		return t, fmt.Errorf("starting shoal run: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return t, fmt.Errorf("running shoal run: %w: %.500q", err, said.Bytes())
	}
	t.Wall, t.User, t.System = time.Since(begun), cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
	return t, nil
}

// perHost returns the CPU time for each of n hosts, in ms.
func (t taken) perHost(n int) figures {
	return figures{
		"cpu":    t.cpu().Seconds() * 1000 / float64(n),
		"system": t.System.Seconds() * 1000 / float64(n),
		"wall":   t.Wall.Seconds(),
	}
}

func (c *comparison) cryptoTurn(kex string, n int) turn {
	return turn{cryptoAlone, func(ctx context.Context) (figures, error) {
		t, err := c.child(ctx, job{Task: taskCrypto, Kex: kex, Connections: n, AtOnce: 100})
		return t.perHost(n), err
	}}
}

// cryptography measures a connection's asymmetric operations with the standard
// library: the client's half of the key exchange, verifying the host key's
// signature, making one signature. It includes both X25519 multiplications: for
// the public key and for the shared secret.
func (j job) cryptography() (taken, error) {
	exchange, err := newExchange(j.Kex)
	if err != nil {
		return taken{}, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return taken{}, err
	}
	message := make([]byte, 64) // about the size of a hash with its framing
	signature := ed25519.Sign(private, message)
	once := func() error {
		if err := exchange(); err != nil {
			return err
		}
		if !ed25519.Verify(public, message, signature) {
			return fmt.Errorf("a signature does not verify")
		}
		signature = ed25519.Sign(private, message)
		return nil
	}
	for range j.AtOnce { // warm-up
		if err := once(); err != nil {
			return taken{}, err
		}
	}
	return j.measured(func() error {
		for range j.Connections {
			if err := once(); err != nil {
				return err
			}
		}
		return nil
	})
}

// newExchange returns a function that does the client's half of a key exchange.
func newExchange(kex string) (func() error, error) {
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	classical := func() error {
		own, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		_, err = own.ECDH(peer.PublicKey())
		return err
	}
	if kex == kexClassical {
		return classical, nil
	}
	// A ciphertext for another key takes the same time: decapsulation does not
	// depend on the result (FIPS 203, §6.3).
	other, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	_, ciphertext := other.EncapsulationKey().Encapsulate()
	return func() error {
		own, err := mlkem.GenerateKey768()
		if err != nil {
			return err
		}
		_ = own.EncapsulationKey().Bytes() // they are sent
		if _, err := own.Decapsulate(ciphertext); err != nil {
			return err
		}
		return classical()
	}, nil
}
