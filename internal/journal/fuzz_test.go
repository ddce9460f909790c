package journal

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
)

// A row of results is refused or decodes losslessly: encoded again it is the same row,
// except for the order and spelling within flags and times.
func FuzzDecodeResult(f *testing.F) {
	f.Add(int64(0), int64(1), int64(1), "ok", "", "drain", "exit_known", int64(0), "", "", int64(5), `{"dial":1}`, int64(2), true)
	f.Add(int64(9), int64(7), int64(2), "signalled", "x", "run", "exit_known,fallback", int64(1)<<32-1, "KILL\xff", "e", int64(-1), `{}`, int64(0), false)
	f.Add(int64(-1), int64(0), int64(1)<<40, "none", "", "", ",", int64(-1), "", "", int64(0), `{"dial":"x"}`, int64(-1), true)
	f.Fuzz(func(t *testing.T, idx, seq, attempt int64, outcome, reason, phase, flags string, status int64,
		signal, failure string, started int64, took string, size int64, out bool,
	) {
		var hash any
		if out {
			sum := sha256.Sum256([]byte(outcome))
			hash = sum[:]
		}
		row := []any{
			int64(1), idx, seq, attempt, outcome, reason, phase, flags, status, signal, failure, started, took,
			hash, size, nil, size, []byte("sum"),
		}
		r, gotSeq, refs, err := decodeResult(row)
		if err != nil {
			return
		}
		again := resultValues(&r, refs)
		again[1] = gotSeq
		if started == -6795364578871345152 { // the encoding of the zero time
			return
		}
		again[6], again[11] = row[7], row[12]
		if d := cmp.Diff(row[1:len(row)-1], again); d != "" {
			t.Error(d)
		}
		flags2, err := decodeFlags(r.Flags.String())
		took2, err2 := decodeTook(encodeTook(&r.Took))
		if err != nil || err2 != nil || flags2 != r.Flags || took2 != r.Took {
			t.Errorf("%s %s %v %v", flags2, encodeTook(&took2), err, err2)
		}
	})
}

func FuzzDecodeTarget(f *testing.F) {
	f.Add(int64(0), "host", "user", int64(22), "", int64(0), `{"address":"a"}`)
	f.Add(int64(1), "h", "", int64(65536), "u", int64(1), `{"via":{"host":"b","route":{"proxy_command":["bmM="]}}}`)
	f.Fuzz(func(t *testing.T, idx int64, host, hostUser string, hostPort int64, user string, port int64, route string) {
		hash := sha256.Sum256(nil)
		row := []any{int64(1), idx, host, hostUser, hostPort, user, port, route, hash[:], []byte("sum")}
		target, command, err := decodeTarget(row)
		if err != nil {
			return
		}
		values, err := targetValues(&target, command)
		if err != nil {
			return // more jump hosts than can be encoded
		}
		values = append(append([]any{int64(1)}, values...), []byte("sum"))
		again, _, err := decodeTarget(values)
		if d := cmp.Diff(target, again); d != "" || err != nil {
			t.Error(d, err)
		}
	})
}

// A content is refused or matches its hash.
func FuzzDecodeContent(f *testing.F) {
	c, err := newCodec(Options{CompressAbove: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.close)
	for _, text := range []string{"a", strings.Repeat("ab", 500), "\x28\xb5\x2f\xfd"} {
		k := content{hash: sha256.Sum256([]byte(text)), size: len(text)}
		c.encode(&k, []byte(text))
		f.Add(text, k.data, k.coding, k.size)
	}
	f.Fuzz(func(t *testing.T, text string, data []byte, coding string, size int) {
		got, err := c.decode(content{hash: sha256.Sum256([]byte(text)), data: data, coding: coding, size: size})
		if err == nil && string(got) != text {
			t.Errorf("%q instead of %q", got, text)
		}
	})
}

func TestTooManyJumps(t *testing.T) {
	route := &fleet.Route{}
	for range maxJumps {
		route = &fleet.Route{Via: &fleet.Target{Route: route}}
	}
	if _, err := encodeRoute(route); err == nil {
		t.Error("written")
	}
}
