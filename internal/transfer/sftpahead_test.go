package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"shoal/fleet"
)

// Small files of a directory share round trips, also where the directory has other sizes than the
// files, some cannot be opened or read, and others are large; each arrives as it is.
func TestSFTPPullShares(t *testing.T) {
	t.Parallel()
	const files = 100
	name := func(i int) string { return fmt.Sprintf("f%03d", i) }
	text := func(i int) string {
		if i%50 == 7 {
			return strings.Repeat("large", 60_000)
		}
		return strings.Repeat(name(i), i%4)
	}
	index := func(f fields) int {
		i := -1
		_, _ = fmt.Sscanf(filepath.Base(f.text()), "f%d", &i)
		return i
	}
	denied := packed(fxStatus, uint32(statusDenied), "", "")
	listed, open := false, 0
	answer := func(kind byte, f fields) []byte {
		switch kind {
		case fxStat:
			return packed(fxAttrs, attrsOf(modeDir|0o755, 0)...)
		case fxOpendir:
			return packed(fxHandle, "dir")
		case fxReaddir:
			if listed {
				return eof
			}
			listed = true
			all := []any{uint32(files)}
			for i := range files {
				size := int64(len(text(i)))
				if i%20 == 3 {
					size++ // it is shorter now
				}
				all = append(append(all, name(i), ""), attrsOf(modeFile|0o644, size)...)
			}
			return packed(fxName, all...)
		case fxOpen:
			i := index(f)
			if i%30 == 9 {
				return denied
			}
			open++
			return packed(fxHandle, name(i))
		case fxFstat:
			return packed(fxAttrs, attrsOf(modeFile|0o644, int64(len(text(index(f)))))...)
		case fxRead:
			i := index(f)
			f.text()
			at, n := int(f.uint64()), int(f.uint32()) //nolint:gosec // small
			switch all := text(i); {
			case i%30 == 11:
				return denied
			case at >= len(all):
				return eof
			default:
				return packed(fxData, all[at:min(at+n, len(all))])
			}
		case fxClose:
			if i := index(f); i >= 0 {
				open--
			}
		}
		return packed(fxStatus, uint32(0), "", "")
	}
	p, outside := openPull(t, 1, PullOptions{})
	s, _ := pulling(t, p, "/d")
	s.start(t.Context())
	trips := roundTrips(s, answer)
	end := s.judge(fleet.Exited(fleet.PhaseRun, 0, "", true))
	if end.Reason != fleet.ReasonPermissionDenied && end.Reason != fleet.ReasonReadFailed || open != 0 {
		t.Errorf("%v, %s, %v, %d files are open", end.Outcome, end.Reason, end.Err, open)
	}
	for i := range files {
		got, err := os.ReadFile(filepath.Join(outside, "in/h/d", name(i)))
		switch lost := i%30 == 9 || i%30 == 11 && text(i) != ""; {
		case lost && err == nil:
			t.Errorf("%s: %q", name(i), got)
		case !lost && (err != nil || string(got) != text(i)):
			t.Errorf("%s: %d bytes of %d, %v", name(i), len(got), len(text(i)), err)
		}
	}
	if trips > files {
		t.Errorf("%d round trips for %d files", trips, files)
	}
}

// roundTrips plays a server that answers all that was asked at once, when nothing more comes, and returns how
// often it did.
func roundTrips(s *sftpPull, answer func(kind byte, f fields) []byte) (n int) {
	s.Notify(func() {})
	_, _ = s.Write(version3)
	var out []byte
	buf := make([]byte, 1<<16)
	for at := int64(0); ; {
		k, err := s.Next(buf, at)
		at += int64(k)
		if out = append(out, buf[:k]...); k > 0 {
			continue
		}
		var back bytes.Buffer
		for len(out) > 0 {
			size := int(binary.BigEndian.Uint32(out))
			packet := out[4 : 4+size]
			out = out[4+size:]
			if packet[0] == fxInit {
				continue
			}
			a := answer(packet[0], fields(packet[5:]))
			b := binary.BigEndian.AppendUint32(nil, uint32(len(a)+4)) //nolint:gosec // small
			back.Write(append(append(append(b, a[0]), packet[1:5]...), a[1:]...))
		}
		if errors.Is(err, io.EOF) || back.Len() == 0 {
			return n
		}
		n++
		_, _ = s.Write(back.Bytes())
	}
}

// Whether a file has changed is asked once its bytes have come, also if it has another size than the
// directory said, so that they are asked for twice.
func TestSFTPPullAsksAfterwards(t *testing.T) {
	t.Parallel()
	listed, reads, changed := false, 0, false
	answer := func(kind byte, f fields) []byte {
		switch kind {
		case fxStat:
			return packed(fxAttrs, attrsOf(modeDir|0o755, 0)...)
		case fxOpendir:
			return packed(fxHandle, "dir")
		case fxReaddir:
			if listed {
				return eof
			}
			listed = true
			all := []any{uint32(2)}
			for _, name := range []string{"e", "f"} {
				all = append(append(all, name, ""), attrsOf(modeFile|0o644, 3)...)
			}
			return packed(fxName, all...)
		case fxOpen:
			return packed(fxHandle, filepath.Base(f.text()))
		case fxFstat:
			size := int64(3)
			if f.text() == "f" {
				size++
				if reads > 1 {
					size, changed = 5, true
				}
			}
			return packed(fxAttrs, attrsOf(modeFile|0o644, size)...)
		case fxRead:
			if f.text() == "f" {
				reads++
			}
			f.uint64()
			return packed(fxData, strings.Repeat(strconv.Itoa(reads), int(f.uint32())))
		}
		return packed(fxStatus, uint32(0), "", "")
	}
	p, _ := openPull(t, 1, PullOptions{})
	s, _ := pulling(t, p, "/d")
	s.start(t.Context())
	roundTrips(s, answer)
	if end := s.judge(fleet.Exited(fleet.PhaseRun, 0, "", true)); end.Reason != fleet.ReasonChangedWhileRead || !changed {
		t.Errorf("%v(%s), asked afterwards: %t: %v", end.Outcome, end.Reason, changed, end.Err)
	}
}
