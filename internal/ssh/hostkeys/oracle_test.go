package hostkeys

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
	"shoal/internal/needs"
)

// A suite generates known_hosts files from small pools of names and keys, so that matches,
// negations and contradictions are frequent.
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

// names generates the first field of a line.
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

// lookup finds the same lines as ssh-keygen -F.
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
		files := newFiles()
		if n%2 == 1 {
			files.keep = 0 // as of a large one
		}
		source, err := files.source(path)
		if _, ok := errors.AsType[lostRevocation](err); ok {
			continue // ssh-keygen ignores the line
		}
		if err != nil {
			t.Fatal(err)
		}
		x := source.index
		for range 4 {
			query := pick(s.Rand, queries)
			want := keygenFinds(t, path, query)
			var got []int
			for _, e := range x.lookup(query) {
				if e.unread == nil { // ssh-keygen ignores unreadable lines
					got = append(got, e.number)
				}
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
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "ssh-keygen"), "-F", name, "-f", path)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("ssh-keygen -F: %v", err)
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

// Verdicts agree with x/crypto where it agrees with OpenSSH. In x/crypto a revocation applies
// to every name, an authority's key is also accepted as a host key, and there are neither
// wildcards on other ports nor a fallback to the plain name.
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

// The cache is bounded, so that memory does not grow with the number of targets.
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
