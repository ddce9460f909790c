package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Source returns a password or passphrase when called: it asks a person, or reads a file or
// file descriptor. The caller overwrites the result. Arguments and environment variables are
// not supported, because other users of the machine can read them.
type Source func(ctx context.Context) ([]byte, error)

// maxSecret bounds a password or passphrase, in bytes, as OpenSSH bounds typed input.
const maxSecret = 1024

// FromFile returns a Source for the first line of a file, without its end of line. The file
// must not be accessible to others, like a private key.
func FromFile(path string) Source {
	return func(context.Context) ([]byte, error) {
		content, info, err := readBounded(path, maxFile)
		if err != nil {
			return nil, fmt.Errorf("reading the password file: %w", err)
		}
		defer clear(content)
		if err := checkMode(info); err != nil {
			return nil, fmt.Errorf("password file %q: %w", path, err)
		}
		secret, err := firstLine(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("password file %q: %w", path, err)
		}
		return secret, nil
	}
}

// FromWholeFile returns a Source for all of a file, without the end of its last line. The file
// must not be accessible to others.
func FromWholeFile(path string) Source {
	return func(context.Context) ([]byte, error) {
		content, info, err := readBounded(path, maxFile)
		if err != nil {
			return nil, fmt.Errorf("reading a secret: %w", err)
		}
		if err := checkMode(info); err != nil {
			clear(content)
			return nil, fmt.Errorf("file %q: %w", path, err)
		}
		content, _ = bytes.CutSuffix(content, []byte("\n"))
		return content, nil
	}
}

// FromFD returns a Source for one line from a file descriptor, which may be a pipe. It reads no
// further than the line and leaves the descriptor open. The end of ctx ends the wait only if
// the descriptor is in non-blocking mode.
func FromFD(fd int) Source {
	return func(ctx context.Context) ([]byte, error) {
		// Duplicate it, so that closing ours does not close the caller's.
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("file descriptor %d: %w", fd, err)
		}
		f := os.NewFile(uintptr(own), fmt.Sprintf("fd %d", fd))
		defer func() { _ = f.Close() }() // it was only read
		stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		secret, err := firstLine(f)
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fmt.Errorf("reading file descriptor %d: %w", fd, err)
		}
		return secret, nil
	}
}

// firstLine reads no byte after the end of the line.
func firstLine(r io.Reader) ([]byte, error) {
	// Capacity for the end of line, so that append never leaves a copy behind.
	line := make([]byte, 0, maxSecret+2)
	defer func() { clear(line) }()
	var one [1]byte
	defer clear(one[:])
	for {
		_, err := io.ReadFull(r, one[:])
		if errors.Is(err, io.EOF) || err == nil && one[0] == '\n' {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(line) > maxSecret {
			return nil, fmt.Errorf("its line is longer than %d bytes", maxSecret)
		}
		line = append(line, one[0])
	}
	secret := bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(secret) == 0:
		return nil, errors.New("its first line is empty")
	case len(secret) > maxSecret:
		return nil, fmt.Errorf("its line is longer than %d bytes", maxSecret)
	}
	return bytes.Clone(secret), nil
}

// Passphrase returns a function for KeyringOptions.Passphrase. It reads the Source once, for
// the first file that needs it, and returns the same passphrase for every file. ctx bounds the
// reading.
func (s Source) Passphrase(ctx context.Context) func(path string) ([]byte, error) {
	asked := newLazy[Secret]()
	return func(string) ([]byte, error) {
		secret, err := asked.get(ctx, func() (Secret, error) { return s.secret(ctx) })
		if err != nil {
			return nil, err
		}
		return secret.Reveal(), nil
	}
}

func (s Source) secret(ctx context.Context) (Secret, error) {
	b, err := s(ctx)
	if err != nil {
		return Secret{}, err
	}
	return NewSecret(b), nil
}
