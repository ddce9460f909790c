package main

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
)

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
