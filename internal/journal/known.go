package journal

import (
	"crypto/sha256"
	"sync"
)

// maxKnown bounds how many hashes a run remembers, in 32 bytes each and a map.
const maxKnown = 1 << 15

// stored are contents that this run has committed, with a row that refers to
// them. Retention spares runs that go on, and so what they refer to: these need
// not be written, or compressed, again. It is safe for concurrent use.
type stored struct {
	mu     sync.Mutex
	hashes map[[sha256.Size]byte]struct{}
}

func (k *stored) has(hash [sha256.Size]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.hashes[hash]
	return ok
}

func (k *stored) add(contents []content) {
	if len(contents) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hashes == nil || len(k.hashes) >= maxKnown {
		k.hashes = make(map[[sha256.Size]byte]struct{})
	}
	for i := range contents {
		k.hashes[contents[i].hash] = struct{}{}
	}
}
