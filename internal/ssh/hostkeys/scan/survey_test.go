package scan_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/internal/ssh/xcrypto"
	"shoal/internal/sshdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ ssh.HostKeys = (*scan.Question)(nil)
	_ scan.Judge   = (*hostkeys.Verifier)(nil)
)

func edKey(n uint64) xssh.PublicKey {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], n)
	key, err := xssh.NewPublicKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		panic(err)
	}
	return key
}

func line(names string, key xssh.PublicKey) string {
	return names + " " + string(xssh.MarshalAuthorizedKey(key))
}

func known(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A judge judges by one store.
type judge struct{ *hostkeys.Store }

func (j judge) Judge(t ssh.Target, key xssh.PublicKey) (hostkeys.Judgement, error) {
	return j.Store.Judge(t.Target, key)
}

func openStore(t *testing.T, path string) judge {
	t.Helper()
	s, err := hostkeys.Open(hostkeys.Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	return judge{s}
}

func seen(name string, port uint16, keys ...xssh.PublicKey) scan.Seen {
	return scan.Seen{Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: name}, Port: port}}, Keys: keys}
}

func TestCompareGroupsAndApproves(t *testing.T) {
	t.Parallel()
	path := known(t,
		line("n1,n2", edKey(1)), line("changed", edKey(2)), line("added", edKey(3)),
		line("@revoked *", edKey(66)))
	found := []scan.Seen{
		seen("n2", 22, edKey(1)),
		seen("n1", 22, edKey(1)),
		seen("clone1", 22, edKey(10)), seen("clone3", 22, edKey(10)), seen("clone2", 22, edKey(10)),
		seen("single", 2222, edKey(11)),
		seen("changed", 22, edKey(20)),
		seen("added", 22, edKey(3), edKey(4)),
		seen("revoked", 22, edKey(66), edKey(5)),
		seen("bad,name", 22, edKey(6)),
		seen("silent", 22),
	}
	r := scan.Compare(openStore(t, path), found)
	var got []string
	for _, g := range r.Groups() {
		got = append(got, fmt.Sprintf("%v %s %d", g.State, g.Hosts(), len(g.Keys)))
		if why := g.Findings[0].Why; (why == nil) != (g.State == scan.Known) {
			t.Errorf("%s: why %v", g.Hosts(), why)
		}
	}
	want := []string{
		"known n[1-2] 1",
		"new clone[1-3] 1", "new single (port 2222) 1",
		"added added 2",
		"changed changed 1",
		"revoked revoked 2",
		"bad bad,name 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("groups\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := r.Hosts(scan.New), "clone[1-3]; single (port 2222)"; got != want {
		t.Errorf("new hosts %q, want %q", got, want)
	}
	if got, want := r.Count(), [scan.NumStates]int{2, 4, 1, 1, 0, 1, 1}; got != want {
		t.Errorf("counts %v, want %v", got, want)
	}

	approvals := r.Approvals(func(f scan.Finding) bool { return f.Target.Host.Name != "clone3" })
	if err := hostkeys.Approve(hostkeys.Options{Files: []string{path}}, approvals); err != nil {
		t.Fatal(err)
	}
	after := scan.Compare(openStore(t, path), found)
	if got, want := after.Count(), [scan.NumStates]int{7, 1, 0, 0, 0, 1, 1}; got != want {
		t.Errorf("counts after approving %v, want %v", got, want)
	}
	if j, err := openStore(t, path).Judge(seen("changed", 22).Target, edKey(2)); err != nil || j.Status != hostkeys.StatusChanged {
		t.Errorf("the key that changed is still %v, %v", j.Status, err)
	}
}

func TestWrittenScansReadBack(t *testing.T) {
	t.Parallel()
	found := []scan.Seen{seen("b", 22, edKey(2), edKey(1)), seen("::1", 2222, edKey(3)), seen("a", 0, edKey(4))}
	var text bytes.Buffer
	if err := scan.Write(&text, found); err != nil {
		t.Fatal(err)
	}
	if want := line("b", edKey(2)) + line("b", edKey(1)) + line("[::1]:2222", edKey(3)) + line("a", edKey(4)); text.String() != want {
		t.Errorf("written %q, want %q", text.String(), want)
	}
	text.WriteString("# comment\nrubbish\n" + line("@revoked c", edKey(5)) + line("d*", edKey(5)) + line("a,[odd]:0", edKey(6)))
	got, problems, err := scan.Read(&text, "scan")
	if err != nil || len(problems) != 3 || problems[0].Line != 6 || problems[1].Line != 7 || problems[2].Line != 8 {
		t.Errorf("problems %v, %v", problems, err)
	}
	var hosts []string
	for i, s := range got {
		if s.Target.Index != i {
			t.Errorf("%v has the place %d", s.Target.Host, s.Target.Index)
		}
		hosts = append(hosts, fmt.Sprintf("%v %d", s.Target.Host, len(s.Keys)))
	}
	if want := []string{"b 2", "[::1]:2222 1", "a 2", "[odd]:0 1"}; !slices.Equal(hosts, want) {
		t.Errorf("read %q, want %q", hosts, want)
	}
	if err := scan.Write(io.Discard, []scan.Seen{seen("a b", 22, edKey(1))}); err == nil {
		t.Error("a name with a blank is written")
	}
}

func TestRecorderRefusesEverything(t *testing.T) {
	t.Parallel()
	var r scan.Recorder
	q := r.Ask([]string{xssh.KeyAlgoED25519})
	a, b := fleet.Target{Host: fleet.Host{Name: "a"}, Index: 1}, fleet.Target{Host: fleet.Host{Name: "b"}}
	cert := &xssh.Certificate{Key: edKey(1), SignatureKey: edKey(2)}
	for _, c := range []struct {
		to       fleet.Target
		key      xssh.PublicKey
		recorded bool
	}{
		{a, edKey(2), true}, {a, edKey(1), true}, {a, edKey(2), true}, {b, edKey(3), true}, {b, nil, false}, {b, cert, false},
	} {
		err := q.Check(ssh.Target{Target: c.to}, nil, c.key)
		var e *fleet.Error
		if !errors.As(err, &e) || e.Outcome != fleet.OutcomeNeverStarted || errors.Is(err, scan.ErrRecorded) != c.recorded {
			t.Errorf("%v", err)
		}
	}
	if q.Accepted(context.Background(), ssh.Target{Target: a}, edKey(1)) == nil {
		t.Error("being let in is no error")
	}
	got := r.Seen()
	if len(got) != 2 || got[0].Target.Target != b || got[1].Target.Target != a || len(got[0].Keys) != 1 || len(got[1].Keys) != 2 {
		t.Errorf("seen %v", got)
	}
}

type noIdentities struct{ t *testing.T }

func (n noIdentities) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	n.t.Error("a scan asks for identities")
	return nil, errors.New("none")
}

// A scan of a real server finds all its keys and never authenticates.
func TestScanOfARealServer(t *testing.T) {
	t.Parallel()
	server := sshdtest.OpenSSH(t, sshdtest.WithHostKeys(sshdtest.Ed25519, sshdtest.ECDSA, sshdtest.RSA))
	to := fleet.Target{Host: server.Host, User: server.User, Port: server.Host.Port}
	var r scan.Recorder
	var wg sync.WaitGroup
	for _, algorithms := range scan.KeyTypes() {
		wg.Go(func() {
			d, err := xcrypto.New(xcrypto.Options{HostKeys: r.Ask(algorithms), Identities: noIdentities{t}})
			if err != nil {
				t.Error(err)
				return
			}
			conn, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: to}, Stdout: io.Discard, Stderr: io.Discard})
			if conn != nil || !errors.Is(err, scan.ErrRecorded) {
				t.Errorf("%q: %v", algorithms, err)
			}
		})
	}
	wg.Wait()
	got := r.Seen()
	if len(got) != 1 || len(got[0].Keys) != 3 {
		t.Fatalf("seen %v", got)
	}
	if counts := scan.Compare(openStore(t, server.KnownHosts), got).Count(); counts[scan.Known] != 1 {
		t.Errorf("not all keys are the server's own: %v", counts)
	}
	if counts := scan.Compare(openStore(t, known(t)), got).Count(); counts[scan.New] != 1 {
		t.Errorf("nothing is known, and the host is %v", counts)
	}
}
