//go:build !amd64

package wire

// dhFrom makes an X25519 key from dhSecretSize bytes.
func dhFrom(secret []byte) (dhKey, error) { return stdDHFrom(secret) }

// kemFrom makes an ML-KEM-768 key from kemSeedSize bytes.
func kemFrom(seed []byte) (kemKey, error) { return stdKEMFrom(seed) }

func encapsulate(public []byte) (ciphertext, shared []byte, err error) { return stdEncapsulate(public) }
