package wire

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"testing"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"
)

// TestDeriveKeyVectors takes vectors of NIST for the SSH key derivation function
// (SP 800-135 §5.2): CAVS 14.1, whose keys of 24 bytes are longer than its hash,
// and ACVP kdf-components ssh 1.0.
func TestDeriveKeyVectors(t *testing.T) {
	for _, c := range []struct {
		name             string
		newHash          func() hash.Hash
		secret, h, id    string
		a, b, c, d, e, f string
	}{
		{
			"CAVS SHA-1 3DES", sha1.New,
			"0000008055bae931c07fd824bf10add1902b6fbc7c665347383498a686929ff5a25f8e40cb6645ea814fb1a5e0a11f85" +
				"2f86255641e5ed986e83a78bc8269480eac0b0dfd770cab92e7a28dd87ff452466d6ae867cead63b366b1c286e6c4811" +
				"a9f14c27aea14c5171d49b78c06e3735d36e6a3be321dd5fc82308f34ee1cb17fba94a59",
			"a4ebd45934f56792b5112dcd75a1075fdc889245", "a4ebd45934f56792b5112dcd75a1075fdc889245",
			"e2f627c0b43f1ac1", "58471445f342b181",
			"1ca9d310f86d51f6cb8e7007cb2b220d55c5281ce680b533", "2c60df8603d34cc1dbb03c11f725a44b44008851c73d6844",
			"472eb8a26166ae6aa8e06868e45c3b26e6eeed06", "e3e2fdb9d7bc21165a3dbe47e1eceb7764390bab",
		},
		{
			"ACVP SHA-256 AES-128", sha256.New,
			"0000010100e534cd9780786af19994dd68c3fd7fe1e1f77c3938b2005c49b080cf88a63a44079774a36f23ba4d73470c" +
				"b318c30524854d2f36bab9a45ad73dbb3bc5dd39a547f62bc921052e102e37f3dd0cd79a04eb46acc14b823b326096a8" +
				"9e33e8846624188bb3c8f16b320e7bb8f5eb05f080dcee244a445dbed3a9f3ba8c373d8be62cdfe2fc5876f30f90f01f" +
				"0a55e5251b23e0dbbfcfb1450715e329bb00fb222e850ddb11201460b8aef3fc8965d3b6d3afbb885a6c11f308f10211" +
				"b82ea2028c7a84dd0bb8d5d6ac3a48d0c2b93609269c585e03889db3621993e7f7c09a007fb6b5c06ffa532b0dbf11f7" +
				"1f740d9cd8fad2532e21b9423bf3d85ee4e396be32",
			"8fb22f0864960da5679fd377248e41c2d0390e5ab3bb7955a3b6c588fb75b20d",
			"269a512e7b560e13396e0f3f56bda730e23ee122ee6d59c91c58fb07872bcccc",
			"82321d9fe2acd958d3f55f4d3ff5c79d", "03f336f61311770bd5346b41e04cdb1f",
			"20e55008d0120c400f42e5d2e148ab75", "8bf4debec96f4adbbe5bb43828d56e6d",
			"15f53bcce2645d0ad1c539c09bf9054aa3a4b10b71e96b9e3a15672405341bb5",
			"00bb773fd63ac7b7281a7b54c130ccad363ee8928104e67ca5a3211ee3bbab93",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, want := range []string{c.a, c.b, c.c, c.d, c.e, c.f} {
				want, letter := unhex(t, want), byte('A'+i)
				got := deriveKey(c.newHash(), unhex(t, c.secret), unhex(t, c.h), letter, unhex(t, c.id), len(want))
				equal(t, string(letter), got, want)
			}
		})
	}
}

// TestDeriveKeyIsAPrefix: shorter material is the beginning of longer.
func TestDeriveKeyIsAPrefix(t *testing.T) {
	m := testMaterial()
	whole := m.derive('C', 200)
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, len(whole)).Draw(r, "n")
		if got := m.derive('C', n); !bytes.Equal(got, whole[:n]) || cap(got) != n {
			r.Fatalf("%d bytes: got %x with room for %d", n, got, cap(got))
		}
	})
}

// TestExchangeHash compares with the hash over the fields as x/crypto/ssh marshals
// them (RFC 4253 §8).
func TestExchangeHash(t *testing.T) {
	for _, newHash := range []func() hash.Hash{sha256.New, sha512.New384, sha512.New} {
		t.Run(fmt.Sprint(newHash().Size()), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				field := rapid.SliceOfN(rapid.Byte(), 0, 100)
				f := struct {
					ClientVersion, ServerVersion                                string
					ClientInit, ServerInit, HostKey, ClientPublic, ServerPublic []byte
					Secret                                                      []byte `ssh:"rest"`
				}{
					string(field.Draw(r, "v")), string(field.Draw(r, "v")),
					field.Draw(r, "f"), field.Draw(r, "f"), field.Draw(r, "f"), field.Draw(r, "f"), field.Draw(r, "f"),
					field.Draw(r, "secret"),
				}
				h := newHash()
				h.Write(ssh.Marshal(f))
				got := endExchangeHash(beginExchangeHash(newHash, f.ClientVersion, f.ServerVersion, f.ClientInit, f.ServerInit),
					f.HostKey, f.ClientPublic, f.ServerPublic, f.Secret)
				if want := h.Sum(nil); !bytes.Equal(got, want) {
					r.Fatalf("got %x, want %x", got, want)
				}
			})
		})
	}
}

func TestLetters(t *testing.T) {
	// RFC 4253 §7.2: client to server A, C, E; server to client B, D, F.
	if got, want := toServer(), (letters{'A', 'C', 'E'}); got != want {
		t.Errorf("to the server: got %v, want %v", got, want)
	}
	if got, want := toClient(), (letters{'B', 'D', 'F'}); got != want {
		t.Errorf("to the client: got %v, want %v", got, want)
	}
}
