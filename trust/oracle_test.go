package trust

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"shoal/fleet"
	"shoal/internal/testsshd"
)

// A suite makes known_hosts files from small pools of names and keys, so that
// matches, negations and contradictions are frequent.
type suite struct {
	*rand.Rand
	keys []ssh.PublicKey
}

func newSuite(t *testing.T, seed uint64) *suite {
	t.Helper()
	s := &suite{Rand: rand.New(rand.NewPCG(seed, 0))}
	for range 4 {
		key, err := ssh.NewPublicKey(newEd25519(s.Rand))
		if err != nil {
			t.Fatal(err)
		}
		s.keys = append(s.keys, key)
	}
	return s
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// names makes the first field of a line.
func (s *suite) names(pool []string) string {
	if s.IntN(4) == 0 {
		return knownhosts.HashHostname(strings.TrimPrefix(pick(s.Rand, pool), "!"))
	}
	list := make([]string, 1+s.IntN(3))
	for i := range list {
		list[i] = pick(s.Rand, pool)
	}
	return strings.Join(list, ",")
}

func (s *suite) file(t *testing.T, pool, markers []string, rubbish ...string) string {
	t.Helper()
	var b strings.Builder
	for range 1 + s.IntN(8) {
		if len(rubbish) > 0 && s.IntN(4) == 0 {
			b.WriteString(pick(s.Rand, rubbish) + "\n")
			continue
		}
		marker := ""
		if s.IntN(4) == 0 {
			marker = pick(s.Rand, markers)
		}
		fmt.Fprintf(&b, "%s%s %s", marker, s.names(pool), ssh.MarshalAuthorizedKey(pick(s.Rand, s.keys)))
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The lines that we find are those that ssh-keygen -F finds.
func TestLookupAgreesWithSSHKeygen(t *testing.T) {
	t.Parallel()
	pool := []string{
		"a", "b", "A", "a.example", "*.example", "!a.example", "?", "*", "!b", "[a]:2222", "[*]:2222", "[?]:2*",
		"!*:2222", "", "::1", "[::1]:2222", "192.0.2.1", "192.0.2.*", "a*b", "aXXb", "x,,y", "|", "#a",
	}
	rubbish := []string{
		"# comment", "", "   ", "a", "a ssh-ed25519", "a ssh-ed25519 ####", "@revoked a", "@banned a ssh-ed25519 AAAA",
		"|1|x|y " + goodKey, "|2|x|y " + goodKey, "\ta " + goodKey, "@revoked  a\t" + goodKey + "\r",
		"@revoked @revoked a " + goodKey, "a " + goodKey + "\r", "a 1024 35 12345",
	}
	queries := []string{"a", "b", "a.example", "c.example", "[a]:2222", "::1", "[::1]:2222", "192.0.2.1", "axxb", "y"}
	const files = 40
	found := 0
	for n := range uint64(files) {
		s := newSuite(t, n)
		path := s.file(t, pool, []string{"@revoked ", "@cert-authority "}, rubbish...)
		x := newIndex()
		if _, _, err := x.readFile(path); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			query := pick(s.Rand, queries)
			want := keygenFinds(t, path, query)
			var got []int
			for _, e := range x.lookup(query) {
				got = append(got, e.number)
			}
			if !slices.Equal(got, want) {
				content, _ := os.ReadFile(path)
				t.Errorf("%q: lines %v, ssh-keygen finds %v in:\n%s", query, got, want, content)
			}
			found += len(want)
		}
	}
	if found < files {
		t.Errorf("the suite is hollow: ssh-keygen found %d lines in all", found)
	}
}

func keygenFinds(t *testing.T, path, name string) []int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-F", name, "-f", path)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("ssh-keygen -F: %v\nhint: run make setup (installs openssh-client)", err)
	}
	var lines []int
	for text := range strings.Lines(string(out)) {
		if _, after, ok := strings.Cut(text, " found: line "); ok {
			n, err := strconv.Atoi(strings.Fields(after)[0])
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, n)
		}
	}
	return lines
}

// Where x/crypto's reading of known_hosts and OpenSSH's are the same, so is
// ours. There, a revocation counts for every name, an authority's key also as a
// host's own, and there are neither wildcards on other ports nor a fall-back to
// the plain name.
func TestVerdictsAgreeWithXCrypto(t *testing.T) {
	t.Parallel()
	verdicts := make(map[fleet.Reason]int)
	for _, c := range []struct{ pool, hosts []string }{
		{[]string{"a", "b", "a.example", "*.example", "!a.example", "?", "*"}, []string{"a:22", "b:22", "a.example:22"}},
		{[]string{"[a]:2222", "[b]:2222", "[::1]:2222", "c"}, []string{"a:2222", "b:2222", "[::1]:2222", "c:22"}},
	} {
		for n := range uint64(100) {
			s := newSuite(t, n)
			path := s.file(t, c.pool, []string{"@revoked "})
			callback, err := knownhosts.New(path)
			if err != nil {
				t.Fatal(err)
			}
			store, err := Open(Options{Files: []string{path}})
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range c.hosts {
				key := pick(s.Rand, s.keys)
				host, portText, _ := net.SplitHostPort(address)
				port, _ := strconv.Atoi(portText)
				to := fleet.Target{Host: fleet.Host{Name: host}, Port: uint16(port)}

				want := reasonOfXCrypto(callback(address, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port}, key))
				got := reasonOf(store.Check(to, nil, key))
				if want == fleet.ReasonHostkeyRevoked && got != want && !revokedFor(store, host, key) {
					continue // revoked for another name
				}
				if got != want {
					content, _ := os.ReadFile(path)
					t.Errorf("%s: %q, x/crypto says %q of:\n%s", address, got, want, content)
				}
				verdicts[want]++
			}
		}
	}
	if len(verdicts) != 4 {
		t.Errorf("the suite is hollow: %v", verdicts)
	}
}

func revokedFor(s *Store, name string, key ssh.PublicKey) bool {
	return slices.ContainsFunc(s.lookup(name), func(e *entry) bool {
		return e.mark == markRevoked && e.blob == string(key.Marshal())
	})
}

func reasonOf(err error) fleet.Reason {
	var e *fleet.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return fleet.ReasonNone
}

func reasonOfXCrypto(err error) fleet.Reason {
	var unequal *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case err == nil:
		return fleet.ReasonNone
	case errors.As(err, &revoked):
		return fleet.ReasonHostkeyRevoked
	case errors.As(err, &unequal) && len(unequal.Want) > 0:
		return fleet.ReasonHostkeyChanged
	default:
		return fleet.ReasonHostkeyUnknown
	}
}

// What ssh(1) says of a real server under StrictHostKeyChecking=yes is what we
// say.
func TestVerdictsAgreeWithSSH(t *testing.T) {
	t.Parallel()
	server := testsshd.OpenSSH(t)
	s := newSuite(t, 1)
	right, wrong := server.HostKey, s.keys[0]
	otherType, err := ssh.NewPublicKey(newECDSA(t))
	if err != nil {
		t.Fatal(err)
	}
	line := func(names string, key ssh.PublicKey) string {
		return names + " " + string(ssh.MarshalAuthorizedKey(key))
	}
	to := fleet.Target{Host: server.Host}
	n, err := namesOf(to)
	if err != nil {
		t.Fatal(err)
	}
	name, plain := n.look, n.fallback
	for about, known := range map[string]string{
		"nothing":                        "",
		"the key":                        line(name, right),
		"another key":                    line(name, wrong),
		"another key and the key":        line(name, wrong) + line(name, right),
		"a key of another type":          line(name, otherType),
		"another type and the key":       line(name, otherType) + line(name, right),
		"the key under the plain name":   line(plain, right),
		"another under the plain name":   line(plain, wrong),
		"the plain name does not help":   line(name, wrong) + line(plain, right),
		"hashed":                         line(knownhosts.HashHostname(name), right),
		"hashed, another key":            line(knownhosts.HashHostname(name), wrong),
		"a pattern":                      line("[127.*]:*", right),
		"a pattern without the port":     line("127.*", right),
		"a star":                         line("*", right),
		"a star with another key":        line("*", wrong),
		"negated":                        line("*,!"+name, right),
		"negated for the plain name too": line("*,!"+name+",!"+plain, right),
		"revoked":                        line("@revoked *", right),
		"revoked and known":              line(name, right) + line("@revoked *", right),
		"known and revoked":              line("@revoked "+name, right) + line(name, right),
		"an authority":                   line("@cert-authority *", right),
		"another key revoked":            line("@revoked *", wrong) + line(name, right),
		"rubbish before":                 "rubbish\n@x y\n" + line(name, right),
	} {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(known), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := Open(Options{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		want := reasonOfSSH(t, server, path)
		if got := reasonOf(store.Check(to, nil, right)); got != want {
			t.Errorf("%s: %q, ssh says %q", about, got, want)
		}
	}
}

func reasonOfSSH(t *testing.T, s *testsshd.Server, known string) fleet.Reason {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile="+known,
		"-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "UpdateHostKeys=no", "-o", "IdentitiesOnly=yes", "-i", s.KeyFile,
		"-p", strconv.Itoa(int(s.Host.Port)), s.User+"@"+s.Host.Name, "true").CombinedOutput()
	if err == nil {
		return fleet.ReasonNone
	}
	for text, reason := range map[string]fleet.Reason{
		"REVOKED HOST KEY DETECTED":              fleet.ReasonHostkeyRevoked,
		"REMOTE HOST IDENTIFICATION HAS CHANGED": fleet.ReasonHostkeyChanged,
		"host key is known for":                  fleet.ReasonHostkeyUnknown,
	} {
		if strings.Contains(string(out), text) {
			return reason
		}
	}
	t.Fatalf("ssh: %v\n%s", err, out)
	return ""
}

// K13: a server with three keys shows the one that is known.
func TestAServerShowsTheKeyThatIsKnown(t *testing.T) {
	t.Parallel()
	server := testsshd.OpenSSH(t, testsshd.WithHostKeys(testsshd.Ed25519, testsshd.ECDSA, testsshd.RSA))
	to := fleet.Target{Host: server.Host}
	n, err := namesOf(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range server.HostKeys {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(n.look+" "+string(ssh.MarshalAuthorizedKey(key))), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := Open(Options{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		var shown ssh.PublicKey
		client, err := ssh.Dial("tcp", to.Address(), &ssh.ClientConfig{
			User:              server.User,
			Auth:              []ssh.AuthMethod{ssh.PublicKeys(server.Signer)},
			HostKeyAlgorithms: store.Algorithms(to),
			HostKeyCallback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
				shown = key
				return store.Check(to, remote, key)
			},
		})
		if err != nil {
			t.Errorf("%s is known: %v", key.Type(), err)
			continue
		}
		_ = client.Close()
		if !sameKey(shown, key) {
			t.Errorf("%s is known, the server shows %s", key.Type(), shown.Type())
		}
	}
}

// A bound on the cache keeps memory from following the number of targets.
func TestCacheForgetsWhatIsOld(t *testing.T) {
	var c cache
	for i := range 3 * cacheLimit {
		c.put(strconv.Itoa(i), nil)
	}
	if n := len(c.young) + len(c.old); n > 2*cacheLimit {
		t.Errorf("%d names are kept, want at most %d", n, 2*cacheLimit)
	}
	if _, ok := c.get(strconv.Itoa(3*cacheLimit - 1)); !ok {
		t.Error("the last name is not kept")
	}
	if _, ok := c.get("0"); ok {
		t.Errorf("the first name is kept: %v", slices.Collect(maps.Keys(c.old))[:3])
	}
}
