package journal

import (
	"crypto/sha256"
	"sync"
)

// maxKnown bounds the hashes that a run remembers: 32 bytes each plus the map's overhead.
const maxKnown = 1 << 15

// stored is the set of contents that this run has committed together with a row that
// refers to them. Prune spares running runs and their contents, so that these need not be
// compressed and written again. It is safe for concurrent use.
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
