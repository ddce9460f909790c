package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// echoes is the tool that runs the command beside copies.
const echoes = "shoal run, echo"

// line returns the tool's command line for a job.
func (t tool) line(j job) []string {
	if copied(t, j) {
		return t.push(j)
	}
	return t.argv(j)
}

// copied reports whether the tool copies a file.
func copied(t tool, j job) bool { return j.file != "" && t.push != nil }

// gcm is the cipher for the comparison of throughput: the fastest that both sides have.
const gcm = "aes128-gcm@openssh.com"

// filesOn returns what starts the targets that files are copied to.
func filesOn(ctx context.Context, s Settings, d sshd, root *group, dir string) []func() (*target, error) {
	fleet := target{port: fleetFiles, dir: "/tmp", like: "fleet"}
	real := target{dir: "/proc/self/cwd", like: "openssh", places: filepath.Join(d.home, "hosts")}
	start := func(t target, name, title string, port uint16, size, bytes int) func() (*target, error) {
		t.name, t.title, t.port, t.sizes = name, title, port, []int{size}
		return func() (_ *target, err error) {
			if t.file, t.digest, err = randomFile(filepath.Join(dir, name+".bin"), bytes); err != nil {
				return nil, err
			}
			if t.places == "" {
				return startFleet(ctx, s, root, dir, &t)
			}
			for _, h := range hosts(size) {
				place := filepath.Join(t.places, h)
				if err := os.MkdirAll(place, 0o755); err != nil {
					return nil, fmt.Errorf("making the hosts' directories: %w", err)
				}
				if err := os.Chown(place, accountID, accountID); err != nil {
					return nil, fmt.Errorf("making the hosts' directories: %w", err)
				}
			}
			return d.start(ctx, t, openGates)
		}
	}
	large := real
	large.cipher = gcm
	small := fleet
	small.echo = true
	round := fmt.Sprintf(", round trip %v", 2*s.Latency)
	return []func() (*target, error){
		start(real, "openssh-files", "A file of 1 MiB to real OpenSSH", filesPort, s.FileSizes[0], 1<<20),
		start(large, "openssh-large", fmt.Sprintf("A file of %d MiB to real OpenSSH, %s", s.Large, gcm), largePort, 1, s.Large<<20),
		start(fleet, "fleet-files", "A file of 1 MiB to the simulated fleet"+round, fleetFiles, s.FileSizes[1], 1<<20),
		start(small, "fleet-small", "A file of 100 bytes to the simulated fleet, beside a command"+round, smallPort, s.FileSizes[2], 100),
	}
}

// randomFile writes a file, and returns its path and SHA-256.
func randomFile(path string, size int) (at, digest string, err error) {
	random := rand.New(rand.NewPCG(1, uint64(size))) //nolint:gosec // any bytes that do not compress
	block := make([]byte, min(size, 1<<20))
	for i := range block {
		block[i] = byte(random.Uint32()) //nolint:gosec // a byte
	}
	file, err := os.Create(path)
	if err != nil {
		return "", "", fmt.Errorf("writing a file to copy: %w", err)
	}
	sum := sha256.New()
	for left := size; left > 0 && err == nil; left -= len(block) {
		block = block[:min(left, len(block))]
		sum.Write(block)
		_, err = file.Write(block)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return path, fmt.Sprintf("%x", sum.Sum(nil)), err
}

// checkCopies sets how many hosts have the file, which shoal run asks them, and removes it.
func (b *bencher) checkCopies(ctx context.Context, t *target, j job, took taken, p Point) (Point, error) {
	j.file, j.cipher = "", ""
	j.command = "sha256sum <" + j.dest
	if t.places == "" {
		j.command += "; rm " + j.dest
	}
	said, err := b.start(ctx, ours(), j)
	if err != nil {
		return p, err
	}
	p.Correct = 0
	for _, lines := range prefixed(": ")(said.stdout) {
		if len(lines) == 1 && strings.HasPrefix(lines[0], t.digest) {
			p.Correct++
		}
	}
	b.judge(&p, took, len(j.hosts))
	if t.places != "" {
		for _, h := range j.hosts {
			if err := os.RemoveAll(filepath.Join(t.places, h, filepath.Base(j.dest))); err != nil {
				return p, fmt.Errorf("removing copies: %w", err)
			}
		}
	}
	_, err = t.server.rest()
	return p, err
}
