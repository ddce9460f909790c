package simfleet

import (
	"bufio"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// WriteKnownHosts writes every host's key as known_hosts of OpenSSH has it
// (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), in the order of the hosts.
func (f *Fleet) WriteKnownHosts(w io.Writer) error {
	return f.writeLines(w, "known_hosts", func(line []byte, i int) []byte {
		key := f.HostKey(i)
		line = append(line, knownName(f.Host(i))...)
		line = append(line, ' ')
		line = append(line, key.Type()...)
		line = append(line, ' ')
		return base64.StdEncoding.AppendEncode(line, key.Marshal())
	})
}

// knownName is the host in known_hosts: brackets only around a port of its own.
func knownName(h fleet.Host) string {
	if h.Port == fleet.DefaultPort {
		return h.Name
	}
	return fmt.Sprintf("[%s]:%d", h.Name, h.Port)
}

// WriteHosts writes one address:port per line, in the order of the hosts.
func (f *Fleet) WriteHosts(w io.Writer) error {
	return f.writeLines(w, "hosts", func(line []byte, i int) []byte {
		return append(line, f.Host(i).String()...)
	})
}

func (f *Fleet) writeLines(w io.Writer, what string, text func(line []byte, i int) []byte) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for i := range f.options.Hosts {
		line = append(text(line[:0], i), '\n')
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("writing %s: %w", what, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", what, err)
	}
	return nil
}

// WriteKey writes the client's private key in OpenSSH's format, without a
// passphrase (OpenSSH PROTOCOL.key).
func (f *Fleet) WriteKey(w io.Writer) error {
	block, err := ssh.MarshalPrivateKey(f.keys.client, "simfleet")
	if err != nil {
		return fmt.Errorf("encoding the client key: %w", err)
	}
	if err := pem.Encode(w, block); err != nil {
		return fmt.Errorf("writing the client key: %w", err)
	}
	return nil
}
