package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A server is a running target: a process and everything that it starts.
type server struct {
	cmd   *exec.Cmd
	group *group
	log   string // path of its output
}

const (
	// startLimit is how long a server may take until it listens.
	startLimit = 30 * time.Second
	// A server is idle when it uses less than 1/restShare of the elapsed
	// time; restLimit is the time limit for waiting.
	restEvery = 50 * time.Millisecond
	restShare = 50
	restLimit = 10 * time.Second
)

// startServer starts argv and waits until the port accepts connections.
func startServer(ctx context.Context, root *group, name, log string, port uint16, argv []string) (*server, error) {
	g, err := root.child("server-" + name)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	defer func() { _ = file.Close() }()                                       // the server has its own
	s := &server{cmd: exec.Command(argv[0], argv[1:]...), group: g, log: log} // end ends it
	s.cmd.Stdout, s.cmd.Stderr = file, file
	if err := startIn(s.cmd, g.path); err != nil {
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	if err := s.listens(ctx, port); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

func (s *server) listens(ctx context.Context, port uint16) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(s.log) // as much as there is
			return fmt.Errorf("%s does not listen: %w: %.500q", s.cmd.Path, err, said)
		case <-time.After(restEvery):
		}
	}
}

// rest waits until the server is idle, and returns the CPU time that it has
// used so far.
func (s *server) rest() (cpuTime, error) {
	before, err := s.group.cpu()
	if err != nil {
		return before, err
	}
	for deadline := time.Now().Add(restLimit); ; {
		time.Sleep(restEvery)
		now, err := s.group.cpu()
		if err != nil || now.sub(before).sum() < restEvery/restShare {
			return now, err
		}
		if time.Now().After(deadline) {
			return now, fmt.Errorf("%s is still busy %v after a run", s.cmd.Path, restLimit)
		}
		before = now
	}
}

// end kills the server and everything that it started.
func (s *server) end() error {
	err := s.group.end()
	_ = s.cmd.Wait() // it was killed
	return errors.Join(err, s.group.remove())
}

// startFleet starts shoal's simulated fleet, and completes t.
func startFleet(ctx context.Context, s Settings, root *group, dir string, t *target) (*target, error) {
	t.key, t.command = filepath.Join(dir, t.name+"_key"), "printf '"+want("")+"'; hostname"
	known := filepath.Join(dir, t.name+"_known_hosts")
	program, err := copyProgram(s.shoal, filepath.Join(dir, "shoal-"+t.name))
	if err != nil {
		return nil, err
	}
	t.server, err = startServer(ctx, root, t.name, filepath.Join(dir, t.name+".log"), t.port, []string{
		program, "fleet", "--hosts", strconv.Itoa(t.largest()), "--port", itoa(t.port),
		"--latency", s.Latency.String(), "--write-known-hosts", known, "--write-key", t.key,
	})
	if err != nil {
		return t, err
	}
	keys, err := readKeys(known)
	for began := time.Now(); len(keys) != t.largest() && ctx.Err() == nil; keys, err = readKeys(known) {
		if time.Since(began) > startLimit { // the fleet listens before it has written all
			return t, errors.Join(err, fmt.Errorf("%s has %d keys, want %d", known, len(keys), t.largest()))
		}
		time.Sleep(restEvery)
	}
	t.known = func(i int) string { return keys[i] }
	return t, err
}

// copyProgram copies the program for the fleet: processes of the same file
// share its pages, which would halve the client's proportional size of them.
func copyProgram(path, to string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("copying shoal for the fleet: %w", err)
	}
	if err := os.WriteFile(to, text, 0o700); err != nil { // a program
		return "", fmt.Errorf("copying shoal for the fleet: %w", err)
	}
	return to, nil
}

// readKeys returns the keys of a known_hosts file in order.
func readKeys(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the fleet's keys: %w", err)
	}
	var keys []string
	for line := range lines(text) {
		_, key, _ := strings.Cut(line, " ")
		keys = append(keys, key)
	}
	return keys, nil
}
