package main

import (
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"shoal/simfleet"
)

// opening returns a side's first bytes: version line and SSH_MSG_KEXINIT.
func opening(before, kex string) []byte {
	payload := append([]byte{msgKexInit}, make([]byte, 16)...)
	payload = binary.BigEndian.AppendUint32(payload, uint32(len(kex))) // short
	payload = append(payload, kex...)
	b := []byte(before + "SSH-2.0-test\r\n")
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)+1)) // short
	return append(append(b, 0), payload...)
}

func TestNegotiated(t *testing.T) {
	for _, test := range []struct {
		name           string
		client, server []byte
		want           string
		fails          bool
	}{
		{"the client's first choice", opening("", "a,b"), opening("", "b,a"), "a", false},
		{"the server lacks the first", opening("", "x,b,a"), opening("", "a,b"), "b", false},
		{"extensions are no key exchange", opening("", "ext-info-c,a"), opening("", "a,kex-strict-s"), "a", false},
		{"lines before the version", opening("", "a"), opening("Welcome\r\n", "a"), "a", false},
		{"none in common", opening("", "a"), opening("", "b"), "", true},
		{"nothing", opening("", "a"), nil, "", true},
		{"turned away", opening("", "a"), []byte("Exceeded MaxStartups\r\n"), "", true},
		{"cut", opening("", "a"), opening("", "abcdef")[:40], "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := negotiated(test.client, test.server)
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %q, %v; want %q, an error: %v", got, err, test.want, test.fails)
			}
		})
	}
}

func FuzzKexAlgorithms(f *testing.F) {
	f.Add(opening("Hello\n", "a,b"))
	f.Add([]byte("SSH-2.0-x\n\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if names, err := kexAlgorithms(b); err != nil && (names != nil || !errors.Is(err, errNoKexInit)) {
			t.Errorf("%q: %q, %v", b, names, err)
		}
	})
}

// A real client through the relay to a simulated server.
func TestRelay(t *testing.T) {
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	host := f.Host(0)
	r, err := newRelay(t.Context(), "127.0.0.1:0", net.JoinHostPort(host.Name, strconv.Itoa(int(host.Port))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ssh.Dial("tcp", r.listener.Addr().String(), &ssh.ClientConfig{
		Config:          ssh.Config{KeyExchanges: []string{ssh.KeyExchangeECDHP256, ssh.KeyExchangeCurve25519}},
		User:            "nobody",
		HostKeyCallback: ssh.FixedHostKey(f.HostKey(0)),
	})
	if err == nil {
		t.Error("logged in without a key")
	}
	if got, want := r.close(), ssh.KeyExchangeECDHP256; got != want {
		t.Errorf("the relay saw %q, want %q", got, want)
	}
}

func TestHeadIsBounded(t *testing.T) {
	var h head
	for range 3 {
		if n, err := h.Write(make([]byte, maxHead-1)); n != maxHead-1 || err != nil {
			t.Fatalf("Write gives %d, %v", n, err)
		}
	}
	if diff := cmp.Diff(maxHead, len(h.kept)); diff != "" {
		t.Errorf("kept (-want +got)\n%s", diff)
	}
}
