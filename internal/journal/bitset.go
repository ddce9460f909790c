package journal

// A bitset is a set of small non-negative integers. The zero value is empty.
type bitset []uint64

func (b *bitset) add(i int) {
	if need := i/64 + 1; need > len(*b) {
		*b = append(*b, make([]uint64, need-len(*b))...)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) has(i int) bool {
	return i >= 0 && i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0
}
