package groups

import (
	"crypto/sha256"
	"io"

	"shoal/fleet"
	"shoal/internal/mask"
	"shoal/internal/textdiff"
)

// Read returns what counts of the outputs of a result, and what stands for them and its end when
// the answers of one host are compared with each other: it is equal if they differ in nothing
// but what is masked whatever the answers are. It adds nothing.
func (c *Collector) Read(r *fleet.Result) (outputs [fleet.NumStreams]fleet.Output, sum [sha256.Size]byte) {
	outputs, noPart := c.parts(r)
	return outputs, c.read(r, outputs, mask.OwnOf(r.Target.Host.Name), noPart).key
}

// A Change is how one answer of a host differs from the one before.
type Change struct {
	Difference
	// Sum is equal for equal changes of hosts, Named also where each has its own name in it.
	Sum, Named [sha256.Size]byte
}

// Change compares two outputs of a host of this name, as Read returned them.
func (c *Collector) Change(host string, before, now [fleet.NumStreams][]byte) Change {
	var change Change
	own := mask.OwnOf(host)
	sum, named := sha256.New(), sha256.New()
	for s := range fleet.NumStreams {
		a, b := before[s], now[s]
		if len(a) > textdiff.MaxText || len(b) > textdiff.MaxText {
			change.Large[s] = string(a) != string(b)
			continue
		}
		linesA, linesB := textdiff.Lines(string(a)), textdiff.Lines(string(b))
		comparedA, comparedB := c.lines(a, own, false), c.lines(b, own, false)
		changes := textdiff.Changes(comparedA, comparedB)
		change.Streams[s] = textdiff.Hunks(linesA, linesB, changes)
		_, _ = sum.Write([]byte{byte(s)})
		writeHunks(sum, textdiff.Hunks(comparedA, comparedB, changes))
		_, _ = named.Write([]byte{byte(s)})
		writeHunks(named, textdiff.Hunks(c.lines(a, own, true), c.lines(b, own, true), changes))
	}
	sum.Sum(change.Sum[:0])
	named.Sum(change.Named[:0])
	return change
}

// lines returns the lines of a text with marks where they are masked; the own name only if named.
func (c *Collector) lines(text []byte, own mask.Own, named bool) []string {
	if c.always == 0 {
		return textdiff.Lines(string(text))
	}
	kinds := c.always
	if !named {
		kinds &^= mask.Of(mask.Host)
	}
	return textdiff.Lines(string(mask.Append(nil, text, c.opts.Masker.Tokens(nil, text, own), kinds)))
}

// writeHunks writes the lines of hunks, without their numbers.
func writeHunks(w io.Writer, hunks []textdiff.Hunk) {
	for _, h := range hunks {
		for _, line := range h.Lines {
			_, _ = io.WriteString(w, string(rune(line.Op))+line.Text+"\n")
		}
		_, _ = io.WriteString(w, "@")
	}
}
