package wire

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"
)

// TestEd25519KeyIsTheLibrarys holds the key to the one that the library reads: in
// wire form, as a key of crypto/ed25519, and in which signatures it takes.
func TestEd25519KeyIsTheLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), ed25519.SeedSize, ed25519.SeedSize).Draw(t, "seed")
		signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
		if err != nil {
			t.Fatal(err)
		}
		want := signer.PublicKey()
		got, err := parseHostKey(want.Marshal(), ssh.KeyAlgoED25519)
		if err != nil {
			t.Fatal(err)
		}
		point := want.(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
		if got.Type() != want.Type() || !bytes.Equal(got.Marshal(), want.Marshal()) ||
			!point.Equal(got.(ssh.CryptoPublicKey).CryptoPublicKey()) {
			t.Errorf("%q %x, want %q %x", got.Type(), got.Marshal(), want.Type(), want.Marshal())
		}
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		sig, err := signer.Sign(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 4).Draw(t, "change") {
		case 1:
			sig.Blob[rapid.IntRange(0, len(sig.Blob)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 2:
			sig.Blob = sig.Blob[:rapid.IntRange(0, len(sig.Blob)).Draw(t, "length")]
		case 3:
			sig.Format = ssh.KeyAlgoRSA
		case 4:
			data = append(data, 0)
		}
		if ours, theirs := got.Verify(data, sig) == nil, want.Verify(data, sig) == nil; ours != theirs {
			t.Errorf("taken %v, by the library %v", ours, theirs)
		}
	})
}

// What was given away cannot change the key.
func TestEd25519KeyIsItsOwn(t *testing.T) {
	blob := appendString(appendString(nil, ssh.KeyAlgoED25519), make([]byte, ed25519.PublicKeySize))
	key := ed25519Key(bytes.Clone(blob))
	clear(key.Marshal())
	clear(key.CryptoPublicKey().(ed25519.PublicKey))
	key.CryptoPublicKey().(ed25519.PublicKey)[0] = 7
	if !bytes.Equal(key.Marshal(), blob) {
		t.Errorf("the key is %x now", key.Marshal())
	}
}

// Ed25519Key takes what the library takes, and no more, wherever a byte differs, is missing or too many.
func TestEd25519KeyTakesWhatTheLibraryTakes(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	blob := want.Marshal()
	tries := [][]byte{blob, append(bytes.Clone(blob), 0), nil}
	for i := range blob {
		altered := bytes.Clone(blob)
		altered[i] ^= 1
		tries = append(tries, altered, blob[:i])
	}
	for _, try := range tries {
		key, ok := Ed25519Key(try)
		theirs, err := ssh.ParsePublicKey(try)
		if ok != (err == nil && theirs.Type() == ssh.KeyAlgoED25519) {
			t.Errorf("%q: %t, the library: %v", try, ok, err)
		}
		if ok && !bytes.Equal(key.Marshal(), theirs.Marshal()) {
			t.Errorf("%q: another key", try)
		}
	}
}
