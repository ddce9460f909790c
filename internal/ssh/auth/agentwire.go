package auth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// Message numbers and flags (draft-ietf-sshm-ssh-agent §6.1, §6.5).
const (
	msgFailure           = 5
	msgRequestIdentities = 11
	msgIdentitiesAnswer  = 12
	msgSignRequest       = 13
	msgSignResponse      = 14
	msgSuccess           = 6
	msgExtension         = 27
	msgFailureOpenSSH    = 30  // from agents for OpenSSH before 2.0
	msgFailureSSHCom     = 102 // from ssh.com's agent

	flagRSASHA256 = 2
	flagRSASHA512 = 4
)

const (
	// maxMessage bounds a message in either direction, in bytes, as OpenSSH does (AGENT_MAX_LEN
	// in its ssh-agent.c).
	maxMessage = 256 << 10
	// maxListed bounds the number of keys in an agent's list, as OpenSSH does
	// (MAX_AGENT_IDENTITIES in its authfd.c).
	maxListed = 2048
)

// ErrAgentRefused is in the error chain if the agent refused a signature: it is locked, a
// person declined, or the key is constrained.
var ErrAgentRefused = errors.New("the agent refuses")

type signRequest struct {
	Key   []byte `sshtype:"13"`
	Data  []byte
	Flags uint32
}

type signResponse struct {
	Signature []byte `sshtype:"14"`
}

// frame prepends the length to a request (draft-ietf-sshm-ssh-agent §3).
func frame(request []byte) ([]byte, error) {
	if len(request) > maxMessage {
		return nil, fmt.Errorf("the request has %d bytes, more than %d", len(request), maxMessage)
	}
	b := make([]byte, 4, 4+len(request))
	binary.BigEndian.PutUint32(b, uint32(len(request)))
	return append(b, request...), nil
}

// readMessage reads one reply. It checks the length before allocating.
func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxMessage {
		return nil, violation{fmt.Errorf("the agent announces a reply of %d bytes, want 1 to %d", n, maxMessage)}
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}

// A violation is a breach of the agent protocol: later replies on the connection can no longer
// be matched to requests.
type violation struct{ error }

// expect checks the type of a reply, which has at least one byte.
func expect(reply []byte, want byte) error {
	switch reply[0] {
	case want:
		return nil
	case msgFailure, msgFailureOpenSSH, msgFailureSSHCom:
		return ErrAgentRefused
	}
	return violation{fmt.Errorf("the agent answers with message %d, want %d", reply[0], want)}
}

// A listed is an entry of the agent's key list.
type listed struct {
	blob    []byte
	comment string
}

// parseList parses the agent's list of keys (draft-ietf-sshm-ssh-agent §4.4).
func parseList(reply []byte) ([]listed, error) {
	if err := expect(reply, msgIdentitiesAnswer); err != nil {
		return nil, err
	}
	b := reply[1:]
	if len(b) < 4 {
		return nil, violation{errors.New("the agent's list is cut short")}
	}
	n, b := binary.BigEndian.Uint32(b), b[4:]
	if n > maxListed {
		return nil, violation{fmt.Errorf("the agent lists %d keys, more than %d", n, maxListed)}
	}
	var keys []listed
	for range n {
		blob, rest, ok := cutString(b)
		comment, rest, ok2 := cutString(rest)
		if !ok || !ok2 {
			return nil, violation{errors.New("the agent's list is cut short")}
		}
		keys, b = append(keys, listed{blob, string(comment)}), rest
	}
	if len(b) > 0 {
		return nil, violation{fmt.Errorf("%d bytes follow the agent's list", len(b))}
	}
	return keys, nil
}

// parseSignature parses the agent's reply to a signature request (draft-ietf-sshm-ssh-agent
// §4.6).
func parseSignature(reply []byte) (*ssh.Signature, error) {
	if err := expect(reply, msgSignResponse); err != nil {
		return nil, err
	}
	var response signResponse
	if err := ssh.Unmarshal(reply, &response); err != nil {
		return nil, violation{fmt.Errorf("reading the agent's answer: %w", err)}
	}
	var signature ssh.Signature
	if err := ssh.Unmarshal(response.Signature, &signature); err != nil {
		return nil, violation{fmt.Errorf("reading the agent's signature: %w", err)}
	}
	return &signature, nil
}
