package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ourOffer is the package's whole offer.
func ourOffer() *kexInit {
	return &kexInit{
		kex:        append(kexNames(), "ext-info-c", strictClient),
		hostKeys:   []string{"ssh-ed25519", "rsa-sha2-512"},
		ciphersOut: cipherNames(), ciphersIn: cipherNames(),
		macsOut: macNames(), macsIn: macNames(),
		compOut: []string{"none"}, compIn: []string{"none"},
	}
}

// opensshOffer is what OpenSSH 9.2 offers in Debian, shortened.
func opensshOffer() *kexInit {
	ciphers := []string{chachaPoly, ctr128, ctr192, ctr256, gcm128, gcm256}
	macs := []string{"umac-64-etm@openssh.com", hmac256ETM, hmac512ETM, "hmac-sha1-etm@openssh.com", hmac256, hmac512}
	return &kexInit{
		kex:        []string{"sntrup761x25519-sha512", kexCurve25519, kexCurve25519Old, kexP256, strictServer},
		hostKeys:   []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"},
		ciphersOut: ciphers, ciphersIn: ciphers,
		macsOut: macs, macsIn: macs,
		compOut: []string{"none", "zlib@openssh.com"}, compIn: []string{"none", "zlib@openssh.com"},
	}
}

func TestNegotiate(t *testing.T) {
	aead := direction{cipher: gcm128}
	for _, c := range []struct {
		name   string
		change func(ours, theirs *kexInit)
		want   agreement
	}{
		{
			"the client's order decides",
			func(_, _ *kexInit) {},
			agreement{kex: kexCurve25519, hostKey: "ssh-ed25519", out: aead, in: aead, strict: true},
		},
		{
			"the directions are apart, and a MAC only where one is needed",
			func(_, theirs *kexInit) { theirs.ciphersOut, theirs.macsOut = []string{ctr256}, []string{"x", hmac512} },
			agreement{kex: kexCurve25519, hostKey: "ssh-ed25519", out: direction{ctr256, hmac512}, in: aead, strict: true},
		},
		{
			"no MAC in common does not matter to an AEAD",
			func(_, theirs *kexInit) { theirs.macsOut, theirs.macsIn = nil, []string{"hmac-md5"} },
			agreement{kex: kexCurve25519, hostKey: "ssh-ed25519", out: aead, in: aead, strict: true},
		},
		{
			"pseudo names are never chosen",
			func(ours, theirs *kexInit) {
				ours.kex = []string{strictClient, "ext-info-c", "kex-strict-s-v00@openssh.com", kexP256}
				theirs.kex = []string{strictClient, "ext-info-c", strictServer, kexP256}
			},
			agreement{kex: kexP256, hostKey: "ssh-ed25519", out: aead, in: aead, strict: true},
		},
		{
			"strict needs the server",
			func(_, theirs *kexInit) { theirs.kex = []string{kexP256, strictClient} },
			agreement{kex: kexP256, hostKey: "ssh-ed25519", out: aead, in: aead},
		},
		{
			"strict needs the client",
			func(ours, _ *kexInit) { ours.kex = kexNames() },
			agreement{kex: kexCurve25519, hostKey: "ssh-ed25519", out: aead, in: aead},
		},
		{
			"chacha with strict",
			func(_, theirs *kexInit) { theirs.ciphersOut = []string{chachaPoly} },
			agreement{kex: kexCurve25519, hostKey: "ssh-ed25519", out: direction{cipher: chachaPoly}, in: aead, strict: true},
		},
		{
			"a guess of another method is wrong",
			func(_, theirs *kexInit) { theirs.firstFollows, theirs.hostKeys = true, []string{"ssh-ed25519"} },
			agreement{kex: kexCurve25519, hostKey: "ssh-ed25519", out: aead, in: aead, strict: true, guessed: true},
		},
		{
			"a guess of another host key is wrong",
			func(_, theirs *kexInit) { theirs.firstFollows, theirs.kex = true, kexNames() },
			agreement{kex: kexMLKEM, hostKey: "ssh-ed25519", out: aead, in: aead, guessed: true},
		},
		{
			"a right guess counts",
			func(ours, theirs *kexInit) {
				theirs.firstFollows, theirs.hostKeys = true, []string{"ssh-ed25519"}
				theirs.kex = append([]string{strictServer}, kexNames()...)
				ours.kex = append([]string{"ext-info-c"}, ours.kex...)
			},
			agreement{kex: kexMLKEM, hostKey: "ssh-ed25519", out: aead, in: aead, strict: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := ourOffer(), opensshOffer()
			c.change(ours, theirs)
			got, err := negotiate(ours, theirs, theirs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got, cmp.AllowUnexported(agreement{}, direction{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNegotiateNothingInCommon(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(theirs *kexInit)
	}{
		{"key exchange", func(k *kexInit) { k.kex = []string{"diffie-hellman-group1-sha1", strictClient, "ext-info-c"} }},
		{"host-key algorithm", func(k *kexInit) { k.hostKeys = []string{"ssh-rsa", "ssh-dss"} }},
		{"cipher, client to server", func(k *kexInit) { k.ciphersOut = []string{"3des-cbc", "none"} }},
		{"cipher, server to client", func(k *kexInit) { k.ciphersIn = nil }},
		{"MAC, client to server", func(k *kexInit) { k.ciphersOut, k.macsOut = []string{ctr128}, []string{"hmac-sha1"} }},
		{"MAC, server to client", func(k *kexInit) { k.ciphersIn, k.macsIn = []string{ctr128}, []string{"none"} }},
		{"compression, client to server", func(k *kexInit) { k.compOut = []string{"zlib"} }},
		{"compression, server to client", func(k *kexInit) { k.compIn = []string{"zlib"} }},
	} {
		t.Run(c.what, func(t *testing.T) {
			theirs := opensshOffer()
			c.change(theirs)
			_, err := negotiate(ourOffer(), theirs, theirs)
			wantKind(t, err, KindNoCommonAlgorithm)
			var n *NegotiationError
			if !errors.As(err, &n) || n.What != c.what {
				t.Errorf("got %v, want a NegotiationError about the %s", err, c.what)
			}
		})
	}
}

func TestNegotiateChaChaNeedsStrict(t *testing.T) {
	for _, change := range []func(k *kexInit){
		func(k *kexInit) { k.ciphersOut = []string{chachaPoly, ctr128} },
		func(k *kexInit) { k.ciphersIn = []string{chachaPoly, ctr128} },
	} {
		ours, theirs := ourOffer(), opensshOffer()
		change(theirs)
		theirs.kex = []string{kexP256}
		_, err := negotiate(ours, theirs, theirs)
		wantKind(t, err, KindNoCommonAlgorithm)
		if !errors.Is(err, ErrNeedsStrict) || !strings.Contains(err.Error(), chachaPoly) {
			t.Errorf("got %v", err)
		}
		// Later KEXINITs have no marks, whatever the first exchange came to.
		if a, err := renegotiate(ours, theirs, theirs, true); err != nil || !a.strict {
			t.Errorf("a later exchange under strict: %+v, %v", a, err)
		}
		theirs.kex = append(theirs.kex, strictServer)
		if _, err := renegotiate(ours, theirs, theirs, false); !errors.Is(err, ErrNeedsStrict) {
			t.Errorf("a later exchange without strict: %v", err)
		}
	}
}

// A MAC of the encrypted packet beside counter mode notices nothing of what was cut
// out before it (Terrapin's CTR-EtM), so that it needs strict key exchange too. Where
// the server has nothing else that is final, and says so.
func TestNegotiateNeedsStrict(t *testing.T) {
	for _, c := range []struct {
		name          string
		ciphers, macs []string
		needs         string // "": nothing
		final         bool
	}{
		{"chacha alone", []string{chachaPoly}, nil, chachaPoly, true},
		{"chacha first", []string{chachaPoly, ctr256}, []string{hmac256}, chachaPoly, false},
		{"chacha and etm", []string{chachaPoly, ctr256}, []string{hmac256ETM}, chachaPoly, true},
		{"etm alone", []string{ctr128}, []string{hmac256ETM, hmac512ETM}, hmac256ETM, true},
		{"etm first", []string{ctr128}, []string{hmac512ETM, hmac512}, hmac512ETM, false},
		{"no etm", []string{ctr128}, []string{hmac512}, "", false},
		{"an AEAD needs no MAC", []string{gcm256}, []string{hmac256ETM}, "", false},
	} {
		ours, theirs := ourOffer(), opensshOffer()
		theirs.kex = []string{kexP256}
		theirs.ciphersOut, theirs.ciphersIn = []string{gcm128}, c.ciphers
		theirs.macsOut, theirs.macsIn = []string{hmac256ETM}, c.macs
		_, err := negotiate(ours, theirs, theirs)
		if c.needs == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		wantKind(t, err, KindNoCommonAlgorithm)
		_, final := errors.AsType[*NegotiationError](err)
		if !errors.Is(err, ErrNeedsStrict) || final != c.final || !strings.Contains(err.Error(), "using "+c.needs) {
			t.Errorf("%s: final %t, want %t: %v", c.name, final, c.final, err)
		}
		ours.ciphersOut, ours.ciphersIn = WithoutStrict(ours.ciphersOut), WithoutStrict(ours.ciphersIn)
		ours.macsOut, ours.macsIn = WithoutStrict(ours.macsOut), WithoutStrict(ours.macsIn)
		if _, err := negotiate(ours, theirs, theirs); (err != nil) != c.final || errors.Is(err, ErrNeedsStrict) {
			t.Errorf("%s: without such algorithms: %v", c.name, err)
		}
		theirs.kex = append(theirs.kex, strictServer)
		if _, err := negotiate(ourOffer(), theirs, theirs); err != nil {
			t.Errorf("%s, strict: %v", c.name, err)
		}
	}
}

// TestNegotiateChoosesTheFirst compares with the rule as RFC 4253 §7.1 has it, on
// lists of any kind.
func TestNegotiateChoosesTheFirst(t *testing.T) {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "ext-info-s"}), 0, 5, rapid.ID)
	rapid.Check(t, func(r *rapid.T) {
		ours, theirs := ourOffer(), opensshOffer()
		ours.kex, theirs.kex = names.Draw(r, "ours"), names.Draw(r, "theirs")
		var common []string
		for _, n := range ours.kex {
			if slices.Contains(theirs.kex, n) && n != "ext-info-s" {
				common = append(common, n)
			}
		}
		a, err := negotiate(ours, theirs, theirs)
		switch {
		case len(common) == 0 && err == nil:
			r.Fatalf("chose %q where nothing is in common", a.kex)
		case len(common) > 0 && (err != nil || a.kex != common[0]):
			r.Fatalf("got %+v, %v, want %q", a, err, common[0])
		}
	})
}
