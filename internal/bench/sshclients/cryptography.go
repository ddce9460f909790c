package main

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
)

// cryptography measures the asymmetric arithmetic of a connection with the
// standard library: the key exchange as the client has it, the host key's
// signature verified, one signature made. Both X25519 ladders are in it: the
// public key's and the secret's.
func (j job) cryptography() (taken, error) {
	exchange, err := newExchange(j.Kex)
	if err != nil {
		return taken{}, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return taken{}, err
	}
	message := make([]byte, 64) // about a hash and its frame
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
	for range j.AtOnce { // to warm up
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

// newExchange gives the client's half of a key exchange.
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
	// A ciphertext for another key takes as long: decapsulation takes the same
	// time whatever it finds (FIPS 203, §6.3).
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
