package hostkeys

import (
	"crypto/sha1" // known_hosts prescribes SHA-1; it hides names and proves nothing
	"encoding/binary"
	"math/bits"

	"golang.org/x/sys/cpu"
)

// A vector is one word of SHA-1 (FIPS 180-4 §6.1) in each lane.
type vector [lanes]uint32

// A state is the five SHA-1 words between two blocks; a schedule is a block expanded to the 80
// rounds.
type (
	state    [5]vector
	schedule [80]vector
)

// compressAVX2 and compressAVX512 apply the block w to the state in and store the result in
// out, which may be in. expandAVX2 computes the schedule from its first 16 words.
//
//go:noescape
func compressAVX2(out, in *state, w *schedule)

//go:noescape
func compressAVX512(out, in *state, w *schedule)

//go:noescape
func expandAVX2(w *schedule)

func compress(out, in *state, w *schedule) {
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL {
		compressAVX512(out, in, w)
		return
	}
	compressAVX2(out, in, w)
}

// A laneFilter has the precomputed values to test a group's lines. Without vector instructions
// all lines pass.
type laneFilter struct {
	inner, outer state  // after the two pads of the HMAC
	want         vector // the first word of each hash
}

func (f *laneFilter) set(lane int, name hashedName) {
	f.inner.setLane(lane, afterPad(&name.salt, innerPad))
	f.outer.setLane(lane, afterPad(&name.salt, outerPad))
	f.want[lane] = binary.BigEndian.Uint32(name.hash[:])
}

func (s *state) setLane(lane int, words [5]uint32) {
	for i, word := range words {
		s[i][lane] = word
	}
}

// A laneQuery is a name prepared for testing.
type laneQuery struct {
	usable         bool
	block, scratch schedule
}

// maxOneBlock is how many bytes fit into one block with SHA-1's padding. The HMAC pad has
// filled the block before.
const maxOneBlock = sha1.BlockSize - 9

func (q *laneQuery) set(name string) {
	q.usable = cpu.X86.HasAVX2 && len(name) <= maxOneBlock
	if !q.usable {
		return
	}
	var block [sha1.BlockSize]byte
	copy(block[:], name)
	block[len(name)] = 0x80
	binary.BigEndian.PutUint64(block[sha1.BlockSize-8:], uint64(8*(sha1.BlockSize+len(name))))
	for t := range 16 {
		q.block[t].fill(binary.BigEndian.Uint32(block[4*t:]))
	}
	expandAVX2(&q.block)
	// The length of the inner hash's block, which precedes this in each test.
	q.scratch[5].fill(0x80000000)
	q.scratch[15].fill(8 * (sha1.BlockSize + sha1.Size))
}

func (v *vector) fill(word uint32) {
	for lane := range v {
		v[lane] = word
	}
}

// candidates returns a bit for each lane whose line may hide the name.
func (f *laneFilter) candidates(q *laneQuery) uint32 {
	if !q.usable {
		return 1<<lanes - 1
	}
	var digest state
	compress(&digest, &f.inner, &q.block)
	copy(q.scratch[:], digest[:])
	expandAVX2(&q.scratch)
	compress(&digest, &f.outer, &q.scratch)
	var found uint32
	for lane, word := range digest[0] {
		if word == f.want[lane] {
			found |= 1 << lane
		}
	}
	return found
}

// afterPad returns the state after the first block of an HMAC.
func afterPad(salt *[sha1.Size]byte, pad byte) [5]uint32 {
	block := padded(salt, pad)
	var w [80]uint32
	for t := range 16 {
		w[t] = binary.BigEndian.Uint32(block[4*t:])
	}
	for t := 16; t < len(w); t++ {
		w[t] = bits.RotateLeft32(w[t-3]^w[t-8]^w[t-14]^w[t-16], 1)
	}
	return compressOne([5]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, &w)
}

// compressOne is compress in one lane: crypto/sha1 does not expose its state.
func compressOne(in [5]uint32, w *[80]uint32) [5]uint32 {
	a, b, c, d, e := in[0], in[1], in[2], in[3], in[4]
	for t, word := range w {
		var f, k uint32
		switch t / 20 {
		case 0:
			f, k = d^(b&(c^d)), 0x5a827999
		case 1:
			f, k = b^c^d, 0x6ed9eba1
		case 2:
			f, k = (b&c)^(d&(b^c)), 0x8f1bbcdc
		default:
			f, k = b^c^d, 0xca62c1d6
		}
		a, b, c, d, e = bits.RotateLeft32(a, 5)+f+e+word+k, a, bits.RotateLeft32(b, 30), c, d
	}
	return [5]uint32{in[0] + a, in[1] + b, in[2] + c, in[3] + d, in[4] + e}
}
