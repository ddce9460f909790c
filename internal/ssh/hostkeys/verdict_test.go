package hostkeys_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	seam "shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

const (
	isUnknown = fleet.ReasonHostkeyUnknown
	isChanged = fleet.ReasonHostkeyChanged
	isRevoked = fleet.ReasonHostkeyRevoked
	isWeak    = fleet.ReasonHostkeyWeak
	isFailed  = fleet.ReasonHostkeyFailed
	isTrusted = fleet.ReasonNone
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	a, b, other := edKey(1), edKey(2), ecdsaKey(t)
	ca := edSigner(9)
	cert := certify(t, a, ca, principals("h"))
	otherCert := certify(t, b, ca, principals("h"))
	trusting := line("@cert-authority *", ca.PublicKey())
	bad := "@revoked h ssh-ed25519 AAAA\n"
	rsa2048, rsa2047, rsa1024 := rsaKey(2048), rsaKey(2047), rsaKey(1024)
	for _, c := range []struct {
		name                        string
		known                       string
		host                        string
		port                        uint16
		key                         ssh.PublicKey
		strict, acceptNew, insecure fleet.Reason
	}{
		{"nothing known", "", "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"the key", line("h", a), "h", 22, a, isTrusted, isTrusted, isTrusted},
		{"the key among several", line("h", b) + line("h", a), "h", 22, a, isTrusted, isTrusted, isTrusted},
		{"another key", line("h", b), "h", 22, a, isChanged, isChanged, isTrusted},
		{"another type", line("h", other), "h", 22, a, isChanged, isChanged, isTrusted},
		{"another host's key", line("g", a), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"upper case in the target", line("h.example", a), "H.Example", 22, a, isTrusted, isTrusted, isTrusted},
		{"upper case in the file", line("H.Example", a), "h.example", 22, a, isTrusted, isTrusted, isTrusted},
		{"one name of several", line("x,h,y", a), "h", 22, a, isTrusted, isTrusted, isTrusted},
		{"hashed", line(hashed("h", 1), a), "h", 22, a, isTrusted, isTrusted, isTrusted},
		{"hashed, another key", line(hashed("h", 1), b), "h", 22, a, isChanged, isChanged, isTrusted},
		{"hashed, another host", line(hashed("g", 1), b), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"wildcard", line("*.example,!bad.example", a), "h.example", 22, a, isTrusted, isTrusted, isTrusted},
		{"negated", line("*.example,!bad.example", a), "bad.example", 22, a, isUnknown, isTrusted, isTrusted},
		{"IPv6", line("fe80::1%eth0", a), "fe80::1%eth0", 22, a, isTrusted, isTrusted, isTrusted},
		{"IPv6 with a port", line("[::1]:2222", a), "::1", 2222, a, isTrusted, isTrusted, isTrusted},

		{"a port", line("[h]:2222", a), "h", 2222, a, isTrusted, isTrusted, isTrusted},
		{"a port, another key", line("[h]:2222", b), "h", 2222, a, isChanged, isChanged, isTrusted},
		{"another port's key", line("[h]:2222", a), "h", 2223, a, isUnknown, isTrusted, isTrusted},
		{"a port's key on port 22", line("[h]:2222", a), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"brackets with port 22 never match", line("[h]:22", a), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"a port falls back to the name", line("h", a), "h", 2222, a, isTrusted, isTrusted, isTrusted},
		{"the name's other key does not contradict", line("h", b), "h", 2222, a, isUnknown, isTrusted, isTrusted},
		{"the port's key wins over the name's", line("h", a) + line("[h]:2222", b), "h", 2222, a, isChanged, isChanged, isTrusted},

		{"revoked", line("@revoked *", a), "h", 22, a, isRevoked, isRevoked, isRevoked},
		{"revoked after it is known", line("h", a) + line("@revoked h", a), "h", 22, a, isRevoked, isRevoked, isRevoked},
		{"revoked before it is known", line("@revoked h", a) + line("h", a), "h", 22, a, isRevoked, isRevoked, isRevoked},
		{"revoked for the name, on a port", line("[h]:2222", a) + line("@revoked h", a), "h", 2222, a, isRevoked, isRevoked, isRevoked},
		{"another key revoked", line("@revoked *", b), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"revoked for another host", line("@revoked g", a), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"a revoked key is no known key", line("@revoked h", b), "h", 22, a, isUnknown, isTrusted, isTrusted},
		{"an authority's key is no host key", line("@cert-authority *", a), "h", 22, a, isUnknown, isTrusted, isTrusted},

		{"a certificate revoked", trusting + line("@revoked *", cert), "h", 22, cert, isRevoked, isRevoked, isRevoked},
		{"the key of a revoked certificate", line("h", a) + line("@revoked h", cert), "h", 22, a, isRevoked, isRevoked, isRevoked},
		{"another certificate of its key", trusting + line("@revoked *", certify(t, a, edSigner(8))), "h", 22, cert, isRevoked, isRevoked, isRevoked},
		{"a certificate revoked for another host", trusting + line("@revoked g", cert), "h", 22, cert, isTrusted, isTrusted, isTrusted},
		{"another key's certificate revoked", trusting + line("@revoked *", otherCert), "h", 22, cert, isTrusted, isTrusted, isTrusted},
		{"the certificate's authority is not revoked with it", trusting + line("@revoked *", otherCert), "h", 22, cert, isTrusted, isTrusted, isTrusted},
		{"an unreadable line that revokes", line("h", a) + bad, "h", 22, a, isFailed, isFailed, isFailed},
		{"for the name, on a port", line("[h]:2222", a) + bad, "h", 2222, a, isFailed, isFailed, isFailed},
		{"for another name", line("g", a) + bad, "g", 22, a, isTrusted, isTrusted, isTrusted},
		{"for a pattern", line("h.example", a) + "@revoked *.example ssh-ed25519\n", "h.example", 22, a, isFailed, isFailed, isFailed},
		{"negated", line("h.example", a) + "@revoked *,!h.example x y\n", "h.example", 22, a, isTrusted, isTrusted, isTrusted},
		{"hashed, and unreadable", line("h", a) + "@revoked " + hashed("h", 1) + " ssh-ed25519 AAAA\n", "h", 22, a, isFailed, isFailed, isFailed},
		{"two markers", line("h", a) + "@revoked " + line("@cert-authority *", b), "h", 22, a, isFailed, isFailed, isFailed},
		{"unreadable, and the key is revoked", bad + line("@revoked h", a), "h", 22, a, isRevoked, isRevoked, isRevoked},
		{"unreadable, and a certificate", trusting + bad, "h", 22, cert, isFailed, isFailed, isFailed},
		{"a key of a type that nobody has", line("h", a) + "@revoked * ssh-new AAAAB3NzaC1uZXc=\n", "h", 22, a, isTrusted, isTrusted, isTrusted},

		{"RSA of 2048 bits", line("h", rsa2048), "h", 22, rsa2048, isTrusted, isTrusted, isTrusted},
		{"RSA of 2047 bits", line("h", rsa2047), "h", 22, rsa2047, isWeak, isWeak, isWeak},
		{"RSA of 1024 bits, unknown", "", "h", 22, rsa1024, isWeak, isWeak, isWeak},
		{"RSA of 1024 bits, revoked", line("@revoked *", rsa1024), "h", 22, rsa1024, isRevoked, isRevoked, isRevoked},

		{"no name", "", "", 22, a, isFailed, isFailed, isFailed},
		{"a name with a comma", line("h", a), "h,g", 22, a, isFailed, isFailed, isFailed},
		{"a name with a wildcard", line("h*", a), "h*", 22, a, isFailed, isFailed, isFailed},
		{"a name with a newline", line("h", a), "h\ng", 22, a, isFailed, isFailed, isFailed},
		{"no key", "", "h", 22, nil, isFailed, isFailed, isFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := file(t, c.known)
			for policy, want := range map[hostkeys.Policy]fleet.Reason{
				hostkeys.Strict: c.strict, hostkeys.AcceptNew: c.acceptNew, hostkeys.Insecure: c.insecure,
			} {
				err := openAtNoon(t, hostkeys.Options{Files: []string{path}, Policy: policy}).Check(target(c.host, c.port), nil, c.key)
				if got := reason(t, err); got != want {
					t.Errorf("%v: %q, want %q: %v", policy, got, want, err)
				}
			}
		})
	}
}

func TestRefusalsSayWhatContradictsWhat(t *testing.T) {
	t.Parallel()
	a, b := edKey(1), edKey(2)
	shown, known := ssh.FingerprintSHA256(a), ssh.FingerprintSHA256(b)
	path := file(t, "# head\n", line("@revoked gone", a), line("h", ecdsaKey(t)), line("h", b), "@revoked torn ssh-ed25519 AAAA\n")
	s := open(t, hostkeys.Strict, path)
	for _, c := range []struct {
		host  string
		key   ssh.PublicKey
		texts []string
	}{
		// The error names the line with a key of the same type, not the first one.
		{"h", a, []string{path + ":4 has ssh-ed25519 " + known, shown, "shoal keys approve -w HOSTS --replace HOSTS"}},
		{"new", a, []string{`no key is known for "new"`, "ssh-ed25519 " + shown, "accept-new"}},
		{"gone", a, []string{path + ":2 revokes this key", shown}},
		{"torn", a, []string{path + `:5 revokes a key of "torn" and cannot be read`, "the key is cut short", fmt.Sprintf("mend line 5 of %q", path)}},
		{"h", rsaKey(1024), []string{"has 1024 bits, less than 2048", "ssh-rsa SHA256:"}},
		{"a b", a, []string{`the host name "a b" cannot stand in known_hosts`}},
	} {
		err := s.Check(target(c.host, 22), nil, c.key)
		reason(t, err)
		for _, text := range c.texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q lacks %q", c.host, err, text)
			}
		}
		lines := strings.Split(err.Error(), "\n")
		if c.host != "a b" && (len(lines) != 2 || !strings.HasPrefix(lines[1], "hint: ")) {
			t.Errorf("%s: %q does not end in one hint", c.host, err)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("missing files are empty", func(t *testing.T) {
		t.Parallel()
		missing := filepath.Join(t.TempDir(), "none")
		s := open(t, hostkeys.Strict, missing, os.DevNull, file(t, line("h", edKey(1))))
		if err := s.Check(target("h", 0), nil, edKey(1)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(missing); !os.IsNotExist(err) {
			t.Errorf("opening made the file: %v", err)
		}
	})
	t.Run("all files count", func(t *testing.T) {
		t.Parallel()
		s := open(t, hostkeys.Strict, file(t, line("h", edKey(1))), file(t, line("h", edKey(2)), line("@revoked *", edKey(1))))
		if got := reason(t, s.Check(target("h", 0), nil, edKey(1))); got != isRevoked {
			t.Errorf("%q, want %q", got, isRevoked)
		}
		if err := s.Check(target("h", 0), nil, edKey(2)); err != nil {
			t.Error(err)
		}
	})
	t.Run("errors", func(t *testing.T) {
		t.Parallel()
		notDir := filepath.Join(file(t, "x"), "known_hosts")
		for _, o := range []hostkeys.Options{
			{Files: []string{t.TempDir()}},
			{Files: []string{"/dev/zero"}},
			{Files: []string{notDir}},
			{Policy: hostkeys.AcceptNew},
			{Policy: 9},
			{LockWait: -1},
		} {
			if s, err := hostkeys.Open(o); err == nil || s != nil {
				t.Errorf("Open(%+v) = %v, %v", o, s, err)
			}
		}
	})
}

// If the names of a revocation line cannot be read, the whole file is refused for reading,
// learning and approving; if only the key cannot be read, its names are refused.
func TestLostRevocations(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]string{
		"nothing behind it":     "@revoked\n",
		"the names left out":    "@revoked " + strings.TrimPrefix(line("", edKey(2)), " "),
		"a hash that is none":   line("@revoked |1|x|y", edKey(2)),
		"a hash of another day": line("@revoked |2|x|y", edKey(2)),
		"too long":              "@revoked * ssh-ed25519 " + strings.Repeat("A", 1<<20) + "\n",
		"too long, and the end": "  @revoked\t* ssh-ed25519 " + strings.Repeat("A", 1<<17),
	} {
		known := line("h", edKey(1))
		path := file(t, known, lost)
		wanted := []string{path + ":2: ", "\nhint: "}
		if name != "too long" && name != "too long, and the end" {
			wanted = append(wanted, "whose keys it revokes cannot be told")
		}
		if name[0] == 'a' {
			wanted = []string{path + ":2: a hashed name", "\nhint: "}
		}
		check := func(what string, err error) {
			t.Helper()
			for _, text := range wanted {
				if err == nil || strings.Count(err.Error(), text) != 1 {
					t.Errorf("%s, %s: %v, want %q in it once", name, what, err, text)
				}
			}
		}
		_, err := hostkeys.Open(hostkeys.Options{Files: []string{path}, Policy: hostkeys.Insecure})
		check("opening", err)
		check("approving", hostkeys.Approve(hostkeys.Options{Files: []string{path}}, []hostkeys.Approval{approve("g", 22, false, edKey(3))}))

		late := file(t, known)
		s := open(t, hostkeys.AcceptNew, late)
		if err := s.Check(target("g", 22), nil, edKey(3)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(late, []byte(known+lost), 0o600); err != nil {
			t.Fatal(err)
		}
		err = s.Accepted(context.Background(), target("g", 22), edKey(3))
		if got := reason(t, err); got != fleet.ReasonStoreFailed || readFile(t, late) != known+lost {
			t.Errorf("%s, learning: %q", name, got)
		}
	}

	torn := file(t, "@revoked g ssh-ed25519 AAAA\n")
	if err := hostkeys.Approve(hostkeys.Options{Files: []string{torn}}, []hostkeys.Approval{approve("g", 22, false, edKey(3))}); err == nil {
		t.Error("a key was approved beside a line that may revoke it")
	}
	late := file(t)
	s := open(t, hostkeys.AcceptNew, late)
	if err := s.Check(target("g", 22), nil, edKey(3)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, []byte("@revoked g ssh-ed25519 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := reason(t, s.Accepted(context.Background(), target("g", 22), edKey(3))); got != isFailed {
		t.Errorf("learning beside a line that may revoke it: %q", got)
	}
}

func TestProblemsLoseNoOtherLine(t *testing.T) {
	t.Parallel()
	path := file(t,
		line("first", edKey(1)),
		"rubbish\n",
		line("middle", edKey(2)),
		"long "+strings.Repeat("x", 70<<10)+"\n",
		"long2 "+strings.Repeat("x", 1<<20)+"\n",
		line("|1|bad|salt", edKey(3)),
		line("last", edKey(4)),
		"h ssh-ed25519 AAAA") // truncated, without a newline
	s := open(t, hostkeys.Strict, path)
	for i, host := range map[uint64]string{1: "first", 2: "middle", 4: "last"} {
		if err := s.Check(target(host, 22), nil, edKey(i)); err != nil {
			t.Error(err)
		}
	}
	var got []string
	for _, p := range s.Problems() {
		if p.File != path {
			t.Errorf("problem in %q", p.File)
		}
		got = append(got, fmt.Sprintf("%d %v", p.Line, p.Err))
	}
	want := []string{
		"2 names, key type and key expected",
		"4 longer than 65536 bytes",
		"5 longer than 65536 bytes",
		"6 a hashed name with a bad salt",
		"8 the key is cut short",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems %q, want %q", got, want)
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	path := file(t,
		line("r", rsaKey(2048)), line("e", ecdsaKey(t)), line("both", ecdsaKey(t)), line("both", rsaKey(2048)),
		line("@revoked x", edKey(1)), line("@revoked x", rsaKey(2048)),
		line("[p]:2222", rsaKey(2048)), line("p", ecdsaKey(t)), line("q", ecdsaKey(t)),
		line(hashed("hidden", 1), rsaKey(2048)))
	s := open(t, hostkeys.AcceptNew, path)
	if err := s.Check(target("learned", 22), nil, ecdsaKey(t)); err != nil {
		t.Fatal(err)
	}
	rsaFirst := []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"}
	plain := []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"}
	ecdsaFirst := []string{"ecdsa-sha2-nistp256", "ssh-ed25519", "ecdsa-sha2-nistp384"}
	for _, c := range []struct {
		host string
		port uint16
		want []string
	}{
		{"new", 22, plain},
		{"r", 22, rsaFirst},
		{"e", 22, ecdsaFirst},
		{"both", 22, []string{"ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"}},
		{"x", 22, plain},
		{"p", 2222, rsaFirst},
		{"q", 2222, ecdsaFirst},
		{"hidden", 22, rsaFirst},
		{"learned", 22, ecdsaFirst},
		{"bad name", 22, plain},
	} {
		got := s.Algorithms(target(c.host, c.port))
		if len(got) < len(c.want) || !slices.Equal(got[:len(c.want)], c.want) {
			t.Errorf("%s:%d: %q does not begin with %q", c.host, c.port, got, c.want)
		}
		sorted := slices.Sorted(slices.Values(got))
		if all := slices.Sorted(slices.Values(s.Algorithms(target("new", 22)))); !slices.Equal(sorted, all) {
			t.Errorf("%s:%d: %q is not a permutation of %q", c.host, c.port, sorted, all)
		}
	}
	for _, a := range s.Algorithms(target("new", 22)) {
		if a == "ssh-rsa" || a == "ssh-dss" || strings.Contains(a, "-cert-") {
			t.Errorf("%s is offered", a)
		}
	}
}

func TestPolicyNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]hostkeys.Policy{
		"strict": hostkeys.Strict, "accept-new": hostkeys.AcceptNew, "insecure": hostkeys.Insecure,
	} {
		if got, err := seam.ParseHostKeyPolicy(name); got != want || err != nil || got.String() != name {
			t.Errorf("ParsePolicy(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := seam.ParseHostKeyPolicy("yes"); err == nil {
		t.Error(`ParsePolicy("yes") gives no error`)
	}
	if hostkeys.Policy(0) != hostkeys.Strict {
		t.Error("the zero policy is not strict")
	}
}
