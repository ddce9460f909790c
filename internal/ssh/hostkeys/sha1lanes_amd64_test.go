package hostkeys

import (
	"crypto/hmac"
	"crypto/sha1"
	"math/bits"
	"testing"

	"golang.org/x/sys/cpu"
	"pgregory.net/rapid"
)

func drawVectors(t *rapid.T, into []vector, label string) {
	words := rapid.SliceOfN(rapid.Uint32(), len(into)*lanes, len(into)*lanes).Draw(t, label)
	for i := range into {
		copy(into[i][:], words[i*lanes:])
	}
}

// The vector code computes the same as plain Go in each lane, with every instruction set of
// this machine.
func TestLanesAgreeWithPlainGo(t *testing.T) {
	if !cpu.X86.HasAVX2 {
		t.Log("this machine has no AVX2: nothing is compared")
		return
	}
	compressors := []func(out, in *state, w *schedule){compressAVX2}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL {
		compressors = append(compressors, compressAVX512)
	}
	rapid.Check(t, func(t *rapid.T) {
		var in state
		var w schedule
		drawVectors(t, in[:], "state")
		drawVectors(t, w[:16], "block")
		expandAVX2(&w)
		for i, compress := range compressors {
			var got state
			compress(&got, &in, &w)
			same := in
			compress(&same, &same, &w)
			if got != same {
				t.Fatalf("%d: into its own state it computes something else", i)
			}
			for lane := range lanes {
				if words, want := laneOf(&got, lane), plainLane(&in, &w, lane); words != want {
					t.Fatalf("%d, lane %d: %x, want %x", i, lane, words, want)
				}
			}
		}
	})
}

func laneOf(s *state, lane int) (words [5]uint32) {
	for i := range words {
		words[i] = s[i][lane]
	}
	return words
}

// plainLane expands and compresses a block in one lane.
func plainLane(in *state, w *schedule, lane int) [5]uint32 {
	var alone [80]uint32
	for t := range alone {
		if t < 16 {
			alone[t] = w[t][lane]
		} else {
			alone[t] = bits.RotateLeft32(alone[t-3]^alone[t-8]^alone[t-14]^alone[t-16], 1)
		}
	}
	return compressOne(laneOf(in, lane), &alone)
}

// Of random lines, the filter passes those with the name and practically no others.
func TestLaneFilterPassesTheName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(0, -1, maxOneBlock).Draw(t, "name")
		have := rapid.SliceOfN(rapid.Bool(), lanes, lanes).Draw(t, "lanes that have it")
		var f laneFilter
		var want uint32
		for lane, has := range have {
			if has {
				f.set(lane, hide(name))
				want |= 1 << lane
			} else {
				f.set(lane, hide("not "+name))
			}
		}
		var q laneQuery
		q.set(name)
		if got := f.candidates(&q); got != want && q.usable {
			t.Fatalf("%q: lanes %08b, want %08b", name, got, want)
		}
	})
}

// hashOf is HMAC-SHA1.
func TestHashOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(0, -1, 1000).Draw(t, "name")
		h := hide(name)
		mac := hmac.New(sha1.New, h.salt[:])
		mac.Write([]byte(name))
		if !h.is(name) || [sha1.Size]byte(mac.Sum(nil)) != h.hash {
			t.Fatalf("%q is hidden as %v", name, h)
		}
	})
}
