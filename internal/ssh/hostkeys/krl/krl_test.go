package krl

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

func signer(n uint64) ssh.Signer {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], n)
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	return s
}

func cert(t testing.TB, key uint64, ca uint64, serial uint64, id string) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: signer(key).PublicKey(), Serial: serial, CertType: ssh.HostCert, KeyId: id,
		ValidPrincipals: []string{"h"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := c.SignCert(rand.Reader, signer(ca)); err != nil {
		t.Fatal(err)
	}
	return c
}

// An assembler writes the data types of PROTOCOL.krl.
type assembler struct{ bytes.Buffer }

func (a *assembler) u8(b byte) *assembler    { a.WriteByte(b); return a }
func (a *assembler) u32(n uint32) *assembler { return a.raw(binary.BigEndian.AppendUint32(nil, n)) }
func (a *assembler) u64(n uint64) *assembler { return a.raw(binary.BigEndian.AppendUint64(nil, n)) }
func (a *assembler) raw(b []byte) *assembler { a.Write(b); return a }
func (a *assembler) str(b []byte) *assembler { return a.u32(uint32(len(b))).raw(b) }

func enc() *assembler { return new(assembler) }

func list(sections ...*assembler) []byte {
	a := enc().raw([]byte(magic)).u32(1).u64(42).u64(0).u64(0).str(nil).str([]byte("comment"))
	for _, s := range sections {
		a.raw(s.Bytes())
	}
	return a.Bytes()
}

func section(kind byte, content *assembler) *assembler { return enc().u8(kind).str(content.Bytes()) }

func certs(ca []byte, parts ...*assembler) *assembler {
	a := enc().str(ca).str(nil)
	for _, p := range parts {
		a.raw(p.Bytes())
	}
	return section(sectionCertificates, a)
}

func TestRevokes(t *testing.T) {
	ca := signer(100).PublicKey().Marshal()
	l, err := Parse(list(
		certs(ca,
			section(partSerials, enc().u64(5).u64(3).u64(0)),
			section(partRange, enc().u64(10).u64(20)),
			section(partRange, enc().u64(15).u64(30)),
			section(partRange, enc().u64(math.MaxUint64-1).u64(math.MaxUint64)),
			section(partBitmap, enc().u64(1000).str([]byte{0, 0x80, 0x01})), // bits 15 and 0
			section(partIDs, enc().str([]byte("bad id"))),
			section(partExtension, enc().str([]byte("x")).u8(0).str(nil))),
		certs(nil, section(partSerials, enc().u64(77))),
		section(sectionKeys, enc().str(signer(1).PublicKey().Marshal()).str([]byte("anything"))),
		section(sectionExtension, enc().str([]byte("x")).u8(0).str([]byte("y"))),
	))
	if err != nil {
		t.Fatal(err)
	}
	if l.Version != 42 || l.Comment != "comment" {
		t.Errorf("version %d, comment %q", l.Version, l.Comment)
	}
	for _, c := range []struct {
		key  ssh.PublicKey
		want string
	}{
		{signer(1).PublicKey(), "this key"},
		{signer(2).PublicKey(), ""},
		{signer(100).PublicKey(), ""}, // an authority is not revoked by having a section
		{cert(t, 1, 9, 1, ""), "this key"},
		{cert(t, 9, 1, 1, ""), "the authority of its certificate"},
		{cert(t, 2, 100, 9, "bad id"), "its certificate, serial number 9"},
		{cert(t, 2, 9, 9, "bad id"), ""}, // another authority's
		{cert(t, 2, 100, 0, ""), ""},     // has no serial number
		{cert(t, 2, 9, 77, ""), "its certificate, serial number 77"},
		{cert(t, 2, 100, 77, ""), "its certificate, serial number 77"},
	} {
		if got := l.Revokes(c.key); got != c.want {
			t.Errorf("%s: %q, want %q", c.key.Type(), got, c.want)
		}
	}
	revoked := map[uint64]bool{
		3: true, 5: true, 10: true, 15: true, 20: true, 21: true, 30: true, 77: true,
		1000: true, 1015: true, math.MaxUint64 - 1: true, math.MaxUint64: true,
	}
	for _, serial := range []uint64{
		1, 2, 3, 4, 5, 6, 9, 10, 15, 20, 21, 30, 31, 76, 77, 78, 999, 1000, 1001, 1014, 1015, 1016, 1 << 63,
		math.MaxUint64 - 2, math.MaxUint64 - 1, math.MaxUint64,
	} {
		if got := l.Revokes(cert(t, 2, 100, serial, "")) != ""; got != revoked[serial] {
			t.Errorf("serial number %d: %v", serial, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := certs(nil, section(partSerials, enc().u64(77)))
	for name, c := range map[string]struct {
		file []byte
		text string
	}{
		"empty":                  {nil, "not a key revocation list"},
		"another file":           {[]byte("ssh-ed25519 AAAA"), "not a key revocation list"},
		"another format":         {enc().raw([]byte(magic)).u32(2).Bytes(), "in the format 2"},
		"signed":                 {list(section(sectionSignature, enc())), "it is signed"},
		"an unknown section":     {list(good, section(9, enc())), "unknown kind 9"},
		"an unknown part":        {list(certs(nil, section(0x24, enc()))), "unknown kind 0x24"},
		"a critical extension":   {list(section(sectionExtension, enc().str([]byte("x")).u8(1).str(nil))), `critical extension "x"`},
		"one inside a section":   {list(certs(nil, section(partExtension, enc().str([]byte("x")).u8(1).str(nil)))), `critical extension "x"`},
		"a short fingerprint":    {list(section(sectionSHA1, enc().str(make([]byte, 19)))), "a fingerprint of 19 bytes, not 20"},
		"a long fingerprint":     {list(section(sectionSHA256, enc().str(make([]byte, 33)))), "a fingerprint of 33 bytes, not 32"},
		"a range backwards":      {list(certs(nil, section(partRange, enc().u64(2).u64(1)))), "from 2 to 1"},
		"a range that goes on":   {list(certs(nil, section(partRange, enc().u64(1).u64(2).u8(0)))), "it goes on"},
		"a negative bitmap":      {list(certs(nil, section(partBitmap, enc().u64(1).str([]byte{0x80})))), "negative bitmap"},
		"a bitmap too far":       {list(certs(nil, section(partBitmap, enc().u64(math.MaxUint64-5).str([]byte{0x7f})))), "beyond the largest"},
		"half a serial number":   {list(certs(nil, section(partSerials, enc().u32(1)))), "it is cut short"},
		"a length beyond memory": {list(enc().u8(2).u32(math.MaxUint32)), "it is cut short"},
	} {
		l, err := Parse(c.file)
		if err == nil || l != nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, %v; want %q", name, l, err, c.text)
		}
	}
	whole := list(good)
	for n := range whole {
		// A list may end between two sections; this list has one.
		if _, err := Parse(whole[:n]); (err == nil) != (n == len(list())) {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

// Revokes agrees with ssh-keygen -Q on lists made by ssh-keygen -k.
func TestAgreesWithSSHKeygen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := func(n uint64) string { return string(ssh.MarshalAuthorizedKey(signer(n).PublicKey())) }
	caFile := write("ca.pub", []byte(text(100)))
	queries := make(map[string]ssh.PublicKey)
	add := func(name string, key ssh.PublicKey) {
		queries[write(name, ssh.MarshalAuthorizedKey(key))] = key
	}
	for n := range uint64(6) {
		add(fmt.Sprintf("key%d.pub", n), signer(n).PublicKey())
	}
	r := mrand.New(mrand.NewPCG(1, 2))
	for n := range 60 {
		serial := r.Uint64N(70)
		if n%5 == 0 {
			serial = math.MaxUint64 - r.Uint64N(3)
		}
		c := cert(t, r.Uint64N(6), 100+r.Uint64N(2), serial, fmt.Sprintf("id%d", r.IntN(6)))
		add(fmt.Sprintf("cert%d-cert.pub", n), c)
	}
	revoked := 0
	for i, spec := range []string{
		"",
		"key: " + text(1),
		"sha1: " + text(2) + "sha256: " + text(3),
		"serial: 7\nserial: 9-20\nserial: 40\n",
		"serial: 1\nserial: 3\nserial: 5\nserial: 7\nserial: 9\nserial: 11\nserial: 13\nserial: 64\nserial: 30-50\n",
		"serial: 18446744073709551614-18446744073709551615\n",
		"id: id3\nid: id5\nserial: 1-2\n",
		"key: " + text(100), // an authority itself
		"serial: 1-69\nkey: " + text(0) + "id: id1\n",
	} {
		for _, authority := range []string{caFile, "none"} {
			path := filepath.Join(dir, fmt.Sprintf("krl%d%s", i, filepath.Base(authority)))
			make := exec.CommandContext(t.Context(), needs.Program(t, "ssh-keygen"), "-k", "-f", path, "-s", authority, write("spec", []byte(spec)))
			if out, err := make.CombinedOutput(); err != nil {
				t.Fatalf("ssh-keygen -k: %v\n%s", err, out)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Parse(file)
			if err != nil {
				t.Errorf("%q: %v", spec, err)
				continue
			}
			says := keygenSays(t, path, queries)
			for name, key := range queries {
				want := says[name]
				if got := l.Revokes(key) != ""; got != want {
					t.Errorf("%q, authority %s: %s revoked %v, ssh-keygen says %v", spec, authority, filepath.Base(name), got, want)
				}
				if want {
					revoked++
				}
			}
		}
	}
	if revoked < 100 {
		t.Errorf("the suite is hollow: %d revoked", revoked)
	}
}

func keygenSays(t *testing.T, krl string, queries map[string]ssh.PublicKey) map[string]bool {
	t.Helper()
	args := []string{"-Q", "-f", krl}
	for name := range queries {
		args = append(args, name)
	}
	out, err := exec.CommandContext(t.Context(), needs.Program(t, "ssh-keygen"), args...).Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("ssh-keygen -Q: %v", err)
	}
	says := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, " (")
		if _, ok := queries[name]; !ok {
			t.Fatalf("ssh-keygen -Q says %q", line)
		}
		says[name] = strings.HasSuffix(strings.TrimSpace(line), ": REVOKED")
	}
	if len(says) != len(queries) {
		t.Fatalf("ssh-keygen -Q says something of %d keys, not of %d", len(says), len(queries))
	}
	return says
}

func FuzzParse(f *testing.F) {
	f.Add(list())
	f.Add(list(certs(signer(1).PublicKey().Marshal(),
		section(partSerials, enc().u64(5).u64(3)), section(partRange, enc().u64(10).u64(20)),
		section(partBitmap, enc().u64(1).str([]byte{1, 2})), section(partIDs, enc().str([]byte("id"))))))
	f.Add(list(section(sectionKeys, enc().str([]byte("k"))), section(sectionSHA1, enc().str(make([]byte, 20))),
		section(sectionSHA256, enc().str(make([]byte, 32)))))
	f.Add(list(section(sectionExtension, enc().str([]byte("x")).u8(1).str(nil))))
	c := cert(f, 1, 2, 12, "id")
	f.Fuzz(func(t *testing.T, file []byte) {
		l, err := Parse(file)
		if (l == nil) != (err != nil) {
			t.Fatal("a list beside an error, or neither")
		}
		if l == nil {
			return
		}
		l.Revokes(c)
		l.Revokes(c.Key)
		// Adding a section that revokes the key revokes it.
		more := append(bytes.Clone(file), section(sectionKeys, enc().str(c.Key.Marshal())).Bytes()...)
		if l, err = Parse(more); err != nil || l.Revokes(c.Key) == "" {
			t.Fatalf("with one section more: %v", err)
		}
	})
}
