package simfleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

func TestTenThousandHosts(t *testing.T) {
	const hosts, targets = 10_000, 200
	f := startFleet(t, Options{Hosts: hosts})
	results := make([]fleet.Result, targets)
	var clients sync.WaitGroup
	for n, i := range rand.New(rand.NewPCG(1, 2)).Perm(hosts)[:targets] {
		clients.Go(func() {
			command := fmt.Sprintf("echo hello world %d", n)
			out, stderr, err := runOn(t, dialSSH(t, f, i), command, "")
			if want := fmt.Sprintf("hello world %d\n", n); out != want || stderr != "" || err != nil {
				t.Errorf("host %d: got %q, %q and %v, want %q", i, out, stderr, err, want)
			}
			results[n] = fleet.Result{
				Target: fleet.Target{Host: f.Host(i), Index: n, Command: command},
				End:    fleet.End{Outcome: fleet.OutcomeOK, Flags: fleet.FlagExitKnown},
				Stdout: fleet.Output{Bytes: []byte(out), Size: int64(len(out))},
			}
		})
	}
	clients.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if report := Check(f.Log(), slices.Values(results), targets); !report.OK() {
		t.Error(report)
	}
	stats := f.Stats()
	if stats.PeakOpen < 1 || stats.PeakOpen > targets {
		t.Errorf("PeakOpen is %d, want 1 to %d", stats.PeakOpen, targets)
	}
	stats.PeakOpen, stats.PeakStartups = 0, 0
	if want := (Stats{Accepted: targets, Authenticated: targets, Execs: targets}); stats != want {
		t.Errorf("stats are %+v, want %+v", stats, want)
	}
}

func TestFiles(t *testing.T) {
	const hosts = 300
	f := startFleet(t, Options{Hosts: hosts})
	var known, names, key bytes.Buffer
	if err := errors.Join(f.WriteKnownHosts(&known), f.WriteHosts(&names), f.WriteKey(&key)); err != nil {
		t.Fatal(err)
	}
	lines, rest := strings.Split(names.String(), "\n"), known.Bytes()
	for i := range hosts {
		_, at, public, _, after, err := ssh.ParseKnownHosts(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = after
		if want := fmt.Sprintf("[%s]:%d", f.Host(i).Name, f.Port()); len(at) != 1 || at[0] != want {
			t.Errorf("known_hosts names host %d as %q, want %q", i, at, want)
		}
		if !bytes.Equal(public.Marshal(), f.HostKey(i).Marshal()) {
			t.Errorf("known_hosts has another key for host %d than the host", i)
		}
		if want := fmt.Sprintf("127.1.%d.%d:%d", (i+1)/256, (i+1)%256, f.Port()); lines[i] != want {
			t.Errorf("hosts line %d is %q, want %q", i, lines[i], want)
		}
	}
	if len(rest) != 0 || len(lines) != hosts+1 || lines[hosts] != "" {
		t.Errorf("after the last host come %q and %q, want nothing", rest, lines[hosts:])
	}
	signer, err := ssh.ParsePrivateKey(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signer.PublicKey().Marshal(), f.ClientKey().PublicKey().Marshal()) {
		t.Error("the key file has another key than ClientKey")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestKnownName(t *testing.T) {
	for port, want := range map[uint16]string{22: "127.1.0.1", 2222: "[127.1.0.1]:2222"} {
		if got := knownName(fleet.Host{Name: "127.1.0.1", Port: port}); got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
}

func TestFilesReportFailedWrites(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	for _, write := range []func(io.Writer) error{f.WriteKnownHosts, f.WriteHosts, f.WriteKey} {
		if err := write(brokenWriter{}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("got %v, want %v", err, io.ErrShortWrite)
		}
	}
}

func TestKeysFollowFromTheSeed(t *testing.T) {
	keys := func(seed string) (texts []string) {
		k, err := newKeyring(seed, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []ssh.Signer{k.host(0), k.host(1), k.changed(0), k.signer("client key")} {
			texts = append(texts, ssh.FingerprintSHA256(s.PublicKey()))
		}
		if again := ssh.FingerprintSHA256(k.host(1).PublicKey()); again != texts[1] {
			t.Errorf("host 1 has %s and then %s", texts[1], again)
		}
		return texts
	}
	a, again, b, random := keys("a"), keys("a"), keys("b"), keys("")
	if !slices.Equal(a, again) {
		t.Errorf("one seed gave %q and %q", a, again)
	}
	all := slices.Concat(a, b, random, keys(""))
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 16 {
		t.Errorf("four seeds gave %d keys that differ, want 16", n)
	}
}

func TestHostAt(t *testing.T) {
	tcp := func(s string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(s), Port: 22} }
	for _, test := range []struct {
		addr net.Addr
		host int
		ok   bool
	}{
		{tcp("127.1.0.1"), 0, true},
		{tcp("127.1.0.255"), 254, true},
		{tcp("127.1.1.0"), 255, true},
		{tcp("127.1.3.232"), 999, true},
		{tcp("127.1.3.233"), 0, false},
		{tcp("127.1.0.0"), 0, false},
		{tcp("127.0.0.1"), 0, false},
		{tcp("10.1.0.1"), 0, false},
		{tcp("128.1.0.1"), 0, false},
		{tcp("::1"), 0, false},
		{&net.UnixAddr{Name: "127.1.0.1"}, 0, false},
	} {
		host, ok := hostAt(test.addr, 1000)
		if ok != test.ok || ok && host != test.host {
			t.Errorf("hostAt(%v) = %d, %v, want %d, %v", test.addr, host, ok, test.host, test.ok)
		}
	}
	if got := address(MaxHosts - 1).String(); got != "127.255.255.254" {
		t.Errorf("the last host is at %s, want 127.255.255.254", got)
	}
}

// TestStrays asserts that an address without a host is closed without a word,
// on loopback and on every other address of this machine.
func TestStrays(t *testing.T) {
	f := startFleet(t, Options{Hosts: 3})
	strays := []string{"127.0.0.1", "127.1.0.4"}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			strays = append(strays, ip.IP.String())
		}
	}
	for _, ip := range strays {
		c, err := net.Dial("tcp", net.JoinHostPort(ip, fmt.Sprint(f.Port())))
		if err != nil {
			continue // not even connected
		}
		if heard, _ := io.ReadAll(c); len(heard) != 0 {
			t.Errorf("%s says %q, want nothing", ip, heard)
		}
		_ = c.Close()
	}
	if stats := f.Stats(); stats.Strays < 2 || stats.Accepted != stats.Strays || stats.Open != 0 {
		t.Errorf("stats are %+v, want 2 or more strays and nothing else", stats)
	}
}

func TestAllow(t *testing.T) {
	f := startFleet(t, Options{Hosts: 2, Allow: func(i int, user string, key ssh.PublicKey) bool {
		return i == 1 && user == "ada" && key.Type() == ssh.KeyAlgoED25519
	}})
	if _, err := newClient(dialTCP(t, f, 0), clientConfig(f, 0)); err == nil {
		t.Error("host 0 let us in")
	}
	if out, _, err := runOn(t, dialSSH(t, f, 1), "whoami", ""); out != "ada\n" || err != nil {
		t.Errorf("host 1: got %q, %v", out, err)
	}
	config := clientConfig(f, 1)
	config.User = "bob"
	if _, err := newClient(dialTCP(t, f, 1), config); err == nil {
		t.Error("host 1 let bob in")
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	config := clientConfig(f, 0)
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(f.keys.changed(0)), ssh.Password("secret")}
	if _, err := newClient(dialTCP(t, f, 0), config); err == nil {
		t.Error("a host let another key in")
	}
}

func TestValidate(t *testing.T) {
	for name, o := range map[string]Options{
		"no hosts":         {},
		"too many hosts":   {Hosts: MaxHosts + 1},
		"negative latency": {Hosts: 1, Latency: -1},
		"negative jitter":  {Hosts: 1, Jitter: -1},
		"negative delay":   {Hosts: 1, AuthDelay: -1},
		"startups":         {Hosts: 1, MaxStartups: Startups{Start: 2, Rate: 10, Full: 1}},
	} {
		if _, err := Start(t.Context(), o); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

// TestClose asserts that Close ends connections in every state.
func TestClose(t *testing.T) {
	f := startFleet(t, Options{Hosts: 2, Fault: func(i int) Fault { return []Fault{FaultNone, FaultSilent}[i] }})
	dialTCP(t, f, 1)
	idle := dialSSH(t, f, 0)
	session, err := dialSSH(t, f, 0).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("sleep infinity"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err == nil {
		t.Error("an idle connection ended in order")
	}
	var missing *ssh.ExitMissingError
	if err := session.Wait(); !errors.As(err, &missing) {
		t.Errorf("a running command ended with %v, want no exit status", err)
	}
	log := f.Log()
	if len(log) != 1 || log[0].HasStatus || log[0].Signal != "" || log[0].Ended.IsZero() {
		t.Errorf("the log is %+v, want one exec that has ended without status", log)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
