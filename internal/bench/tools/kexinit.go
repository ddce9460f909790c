package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// negotiated returns the key exchange that two sides agree on, given their
// first bytes: the first of the client's that the server also supports (RFC
// 4253 §7.1).
func negotiated(client, server []byte) (string, error) {
	ours, err := kexAlgorithms(client)
	if err != nil {
		return "", err
	}
	theirs, err := kexAlgorithms(server)
	if err != nil {
		return "", err
	}
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			return name, nil
		}
	}
	return "", errors.New("no key exchange in common")
}

// Sizes of a binary packet and of SSH_MSG_KEXINIT (RFC 4253 §6 and §7.1).
const (
	packetHead  = 4 + 1 // packet_length, padding_length
	msgKexInit  = 20
	kexInitHead = 1 + 16 // message number, cookie
)

var errNoKexInit = errors.New("no SSH_MSG_KEXINIT")

// kexAlgorithms returns the kex_algorithms of a side's first packet, which
// follows its version line and is not encrypted.
func kexAlgorithms(b []byte) ([]string, error) {
	for !bytes.HasPrefix(b, []byte("SSH-")) { // RFC 4253 §4.2: lines may precede
		_, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, errNoKexInit
		}
		b = rest
	}
	_, b, _ = bytes.Cut(b, []byte("\n"))
	if len(b) < packetHead+kexInitHead+4 || b[packetHead] != msgKexInit {
		return nil, errNoKexInit
	}
	b = b[packetHead+kexInitHead:]
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, errNoKexInit
	}
	return strings.Split(string(b[:n]), ","), nil
}
