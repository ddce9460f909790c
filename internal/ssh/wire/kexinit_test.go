package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"
)

// theirKexInit is the message as golang.org/x/crypto/ssh would read it.
type theirKexInit struct {
	Cookie                                             [16]byte `sshtype:"20"`
	Kex, HostKeys, CiphersOut, CiphersIn               []string
	MACsOut, MACsIn, CompOut, CompIn, LangOut, LangsIn []string
	FirstFollows                                       bool
	Reserved                                           uint32
}

func drawKexInit(r *rapid.T) *kexInit {
	names := rapid.SliceOfN(rapid.StringMatching(`[!-+\--~]{1,64}`), 0, 5)
	k := &kexInit{firstFollows: rapid.Bool().Draw(r, "first follows")}
	for _, list := range k.lists() {
		if *list = names.Draw(r, "list"); len(*list) == 0 {
			*list = nil
		}
	}
	copy(k.cookie[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "cookie"))
	return k
}

func TestKexInitAppend(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		k := drawKexInit(r)
		b := k.append([]byte("before"))
		payload, ok := bytes.CutPrefix(b, []byte("before"))
		if !ok {
			r.Fatalf("dst was altered: %q", b)
		}
		var theirs theirKexInit
		if err := ssh.Unmarshal(payload, &theirs); err != nil {
			r.Fatal(err)
		}
		want := theirKexInit{
			Cookie: k.cookie, Kex: k.kex, HostKeys: k.hostKeys,
			CiphersOut: k.ciphersOut, CiphersIn: k.ciphersIn,
			MACsOut: k.macsOut, MACsIn: k.macsIn, CompOut: k.compOut, CompIn: k.compIn,
			FirstFollows: k.firstFollows,
		}
		if !bytes.Equal(ssh.Marshal(want), payload) {
			r.Fatalf("got %x, want %x", payload, ssh.Marshal(want))
		}
		again, err := parseKexInit(payload, "server")
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(k, again, cmp.AllowUnexported(kexInit{})); diff != "" {
			r.Fatal(diff)
		}
	})
}

func TestParseKexInitErrors(t *testing.T) {
	good := offer(kexMLKEM, ssh.KeyAlgoED25519, direction{cipher: gcm128}).append(nil)
	for n := range good {
		_, err := parseKexInit(good[:n], "server")
		wantKind(t, err, KindProtocol)
	}
	// with gives a KEXINIT whose first list is other bytes.
	with := func(list string) []byte {
		b := append([]byte{msgKexInit}, make([]byte, 16)...)
		b = appendString(b, list)
		for range 9 {
			b = appendNames(b, nil)
		}
		return append(b, 0, 0, 0, 0, 0)
	}
	other := bytes.Clone(good)
	other[0] = msgNewKeys
	for _, c := range []struct {
		name    string
		payload []byte
		kind    Kind
	}{
		{"another message", other, KindProtocol},
		{"trailing byte", append(bytes.Clone(good), 0), KindProtocol},
		{"empty name", with("a,,b"), KindProtocol},
		{"comma last", with("a,"), KindProtocol},
		{"space", with("a b"), KindProtocol},
		{"escape sequence", with("a\x1b[2J"), KindProtocol},
		{"not ASCII", with("é"), KindProtocol},
		{"NUL", with("a\x00"), KindProtocol},
		{"too long", with(strings.Repeat("a,", maxKexInit/2) + "a"), KindAbuse},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseKexInit(c.payload, "server")
			wantKind(t, err, c.kind)
		})
	}
	if k, err := parseKexInit(with("a"), "server"); err != nil || len(k.kex) != 1 || k.kex[0] != "a" {
		t.Errorf("got %+v, %v", k, err)
	}
}

// FuzzParseKexInit: what can be read is written again as it was, but for the
// languages and the reserved number; golang.org/x/crypto/ssh reads all that we do.
func FuzzParseKexInit(f *testing.F) {
	good := offer(kexMLKEM, ssh.KeyAlgoED25519, direction{cipher: ctr128, mac: hmac256}).append(nil)
	f.Add(good)
	f.Add((&kexInit{firstFollows: true}).append(nil))
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, payload []byte) {
		k, err := parseKexInit(payload, "server")
		if err != nil {
			return
		}
		var theirs theirKexInit
		if err := ssh.Unmarshal(payload, &theirs); err != nil {
			t.Fatalf("x/crypto/ssh does not read it: %v", err)
		}
		theirs.LangOut, theirs.LangsIn, theirs.Reserved = nil, nil, 0
		if got, want := k.append(nil), ssh.Marshal(theirs); !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
	})
}

// What a server has sent is shared with the next one that sends the same behind the cookie, and with
// no other.
func TestKexInitIsShared(t *testing.T) {
	m := new(Memory)
	init := func(cookie byte, kex string) []byte {
		k := &kexInit{cookie: [16]byte{cookie}, kex: []string{kex}, compOut: []string{"none"}}
		return k.append(nil)
	}
	parse := func(payload []byte) *kexInit {
		t.Helper()
		k, err := m.parseKexInit(payload, "server")
		want, wantErr := parseKexInit(payload, "server")
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, want %v", payload, err, wantErr)
		}
		if err == nil && (!slices.Equal(k.kex, want.kex) || !slices.Equal(k.compOut, want.compOut)) {
			t.Fatalf("%q: read as %+v", payload, k)
		}
		return k
	}
	parse(init(1, "a"))
	second := parse(init(2, "a"))
	if third := parse(init(3, "a")); third != second {
		t.Error("equal lists are read again")
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = m.parseKexInit(init(4, "a"), "server") }); n > 4 { // init makes these
		t.Errorf("%v allocations for lists that were seen", n)
	}
	long, wrong := append(init(1, "a"), 0), init(1, "a")
	wrong[0]++
	for _, payload := range [][]byte{init(1, "b"), init(1, "a"), long, wrong, long[:17], long[:9], nil} {
		parse(payload)
	}
}
