package sftpd

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"shoal/simfleet/internal/memfs"
)

// A stream is a client's requests and a place for the answers.
type stream struct {
	io.Reader
	io.Writer
}

func packet(kind byte, fields ...any) []byte {
	body := []byte{kind}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(f))), f...)
		case uint32:
			body = binary.BigEndian.AppendUint32(body, f)
		case uint64:
			body = binary.BigEndian.AppendUint64(body, f)
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// FuzzServe asserts that no bytes make a server panic, answer without bounds, or
// use more than the file system has.
func FuzzServe(f *testing.F) {
	handle := "\x00\x00\x00\x01"
	open := packet(fxOpen, uint32(1), "a", uint32(0x1b), uint32(0))
	for _, requests := range [][][]byte{
		{packet(fxInit, uint32(3)), open, packet(fxWrite, uint32(2), handle, uint64(0), "data"), packet(fxRead, uint32(3), handle, uint64(1), uint32(1<<31)), packet(fxClose, uint32(4), handle)},
		{open, packet(fxWrite, uint32(2), handle, uint64(1<<63), "data"), packet(fxRead, uint32(3), handle, uint64(1<<63), uint32(9)), packet(fxFsetstat, uint32(4), handle, uint32(1), uint64(1<<40))},
		{packet(fxOpendir, uint32(1), "/"), packet(fxReaddir, uint32(2), handle), packet(fxReaddir, uint32(3), handle)},
		{packet(fxSetstat, uint32(1), "a", uint32(0xffffffff), uint64(0)), packet(fxSymlink, uint32(2), "x", "y"), packet(fxReadlink, uint32(3), "y"), packet(fxRealpath, uint32(4), "..")},
		{packet(fxExtended, uint32(1), "statvfs@openssh.com", "/"), packet(fxExtended, uint32(2), "limits@openssh.com"), packet(fxExtended, uint32(3), "posix-rename@openssh.com", "a", "b")},
		{packet(fxMkdir, uint32(1), "d", uint32(4), uint32(0o7777)), packet(fxRename, uint32(2), "d", "e"), packet(fxRmdir, uint32(3), "e"), packet(fxRemove, uint32(4), "e"), {0, 0, 0, 0}},
		{{255, 255, 255, 255}},
		{{0, 0, 0, 9, fxWrite}},
	} {
		f.Add(bytes.Join(requests, nil))
	}
	f.Fuzz(func(t *testing.T, requests []byte) {
		files := memfs.New(1 << 20)
		var answers bytes.Buffer
		_ = Serve(stream{bytes.NewReader(requests), &answers}, files, memfs.Cred{Dir: "/"}, Options{})
		if size, used := files.Usage(); used > size {
			t.Errorf("%d of %d bytes are in use", used, size)
		}
		for rest := answers.Bytes(); len(rest) > 0; {
			n := binary.BigEndian.Uint32(rest)
			if n < 5 || n > maxPacket || int(n)+4 > len(rest) {
				t.Fatalf("an answer has %d bytes", n)
			}
			rest = rest[4+n:]
		}
	})
}
