package plan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
)

// planner returns a Planner for an ssh_config.
func planner(t testing.TB, config string, change func(*Options)) *Planner {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Config{File: path})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Config: c, Home: "/home/me"}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhoWins(t *testing.T) {
	const config = "Host web\n HostName 10.0.0.1\n User conf\n Port 2222\nHost *\n User other\n"
	entry := func(fleet.Target) hosts.Entry { return hosts.Entry{Address: "192.0.2.9"} }
	for name, c := range map[string]struct {
		target  fleet.Target
		change  func(*Options)
		want    string // user@address
		lookFor string // in known_hosts
	}{
		"ssh_config":       {target: host("web"), want: "conf@10.0.0.1:2222"},
		"its other blocks": {target: host("db"), want: "other@db:22"},
		"the command line": {
			target: host("web"), change: func(o *Options) { o.User, o.Port = "me", 99 }, want: "me@10.0.0.1:99",
		},
		"the host itself": {
			target: fleet.Target{Host: fleet.Host{Name: "web", User: "root", Port: 7}},
			change: func(o *Options) { o.User, o.Port = "me", 99 }, want: "root@10.0.0.1:7",
		},
		"the inventory's address": {
			target: host("web"), change: func(o *Options) { o.Entry = entry }, want: "other@192.0.2.9:22",
		},
	} {
		got := planner(t, config, c.change).Target(context.Background(), c.target)
		if got.Err() != nil || got.User+"@"+got.Address() != c.want {
			t.Errorf("%s: %s@%s (%v), want %s", name, got.User, got.Address(), got.Err(), c.want)
		}
		if got.Host != c.target.Host {
			t.Errorf("%s: the host became %v", name, got.Host)
		}
	}
}

func host(name string) fleet.Target { return fleet.Target{Host: fleet.Host{Name: name}} }

func TestKeysAndTrust(t *testing.T) {
	const config = `Host web
 IdentityFile /keys/web
 IdentitiesOnly yes
 IdentityAgent /run/agent
 UserKnownHostsFile /kh/user
 GlobalKnownHostsFile /kh/global
 HostKeyAlias Alias
 StrictHostKeyChecking accept-new
 RequiredRSASize 4096
Host nokeys
 PubkeyAuthentication no
`
	entry := func(fleet.Target) hosts.Entry { return hosts.Entry{IdentityFile: "~/ansible"} }
	p := planner(t, config, func(o *Options) { o.Identities, o.Entry = []string{"/keys/flag"}, entry })
	web := p.Target(context.Background(), host("web"))
	want := web.Settings().Keys
	if diff := cmp.Diff([]string{"/keys/flag", "/home/me/ansible", "/keys/web"}, want.Files); diff != "" {
		t.Errorf("key files (-want +got):\n%s", diff)
	}
	if !want.Only || want.Defaults || want.AgentSocket != "/run/agent" {
		t.Errorf("wants %+v", want)
	}
	o := web.Settings().Known
	if diff := cmp.Diff([]string{"/kh/user", "/kh/global"}, o.Files); diff != "" || o.Policy != ssh.HostKeysAcceptNew || o.RSABits != 4096 {
		t.Errorf("trusts by %+v\n%s", o, diff)
	}
	if got := web.Route.HostKeyAlias; got != "alias" {
		t.Errorf("alias %q", got)
	}
	if want := p.Target(context.Background(), host("nokeys")).Settings().Keys; len(want.Files) > 0 || want.AgentSocket != "" || want.Defaults {
		t.Errorf("PubkeyAuthentication no wants %+v", want)
	}
}

// The command line may ask for more or less than ssh_config; ssh_config alone never makes
// the policy insecure. The policy is that of the jump hosts too, also of those that an
// earlier run had.
func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		config string
		asked  *ssh.HostKeyPolicy
		want   ssh.HostKeyPolicy
	}{
		{"", nil, ssh.HostKeysStrict},
		{"StrictHostKeyChecking ask", nil, ssh.HostKeysStrict},
		{"StrictHostKeyChecking accept-new", nil, ssh.HostKeysAcceptNew},
		{"StrictHostKeyChecking accept-new", new(ssh.HostKeysStrict), ssh.HostKeysStrict},
		{"StrictHostKeyChecking no", nil, ssh.HostKeysAcceptNew},
		{"StrictHostKeyChecking no", new(ssh.HostKeysStrict), ssh.HostKeysStrict},
		{"StrictHostKeyChecking yes", new(ssh.HostKeysAcceptNew), ssh.HostKeysAcceptNew},
		{"StrictHostKeyChecking yes", new(ssh.HostKeysInsecure), ssh.HostKeysInsecure},
	} {
		var notices []string
		p := planner(t, c.config+"\nHost h\n ProxyJump one,two\n", func(o *Options) {
			o.Policy = c.asked
			o.Notice = func(text string) { notices = append(notices, text) }
		})
		was := fleet.Target{Host: fleet.Host{Name: "was"}, User: "u", Port: 22}
		earlier := host("g")
		earlier.Route = &fleet.Route{Via: &was}
		for _, target := range []fleet.Target{host("h"), host("h"), earlier} {
			planned := p.Target(context.Background(), target)
			hops := 0
			for hop := &planned; hop != nil; hop = hop.Jump() {
				hops++
				if got := hop.Settings().Known.Policy; got != c.want {
					t.Errorf("%q, %s on the way to %s: %v, want %v", c.config, hop.Host, target.Host, got, c.want)
				}
			}
			if want := map[string]int{"h": 3, "g": 2}[target.Host.Name]; hops != want {
				t.Errorf("%s: %d hops, want %d", target.Host, hops, want)
			}
		}
		told := slices.DeleteFunc(notices, func(text string) bool { return !strings.Contains(text, "is taken as accept-new") })
		if want := strings.HasSuffix(c.config, " no") && c.asked == nil; (len(told) == 1) != want {
			t.Errorf("%q: told %q", c.config, told)
		}
	}
}

// Options of -o do not apply to jump hosts, nor to those that an earlier run had.
func TestCommandLineAtJumpHosts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("Host far\n ProxyJump jump\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Config{File: path, Set: []string{"StrictHostKeyChecking=accept-new", "UserKnownHostsFile=/kh/o", "GlobalKnownHostsFile=none"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	now := p.Target(t.Context(), host("far"))
	was := *now.Route.Via
	was.Host.Name = "was"
	earlier := host("far")
	earlier.Route = &fleet.Route{Via: &was}
	for _, target := range []ssh.Target{now, p.Target(t.Context(), earlier)} {
		if k := target.Settings().Known; k.Policy != ssh.HostKeysAcceptNew || !slices.Contains(k.Files, "/kh/o") {
			t.Errorf("behind %s: trusts by %+v", target.Jump().Host, k)
		}
		if k := target.Jump().Settings().Known; k.Policy != ssh.HostKeysStrict || slices.Contains(k.Files, "/kh/o") {
			t.Errorf("%s trusts by %+v", target.Jump().Host, k)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Setenv("SHELL", "/bin/zsh")
	p := planner(t, "Host far\n ProxyJump a,me@b:2200\nHost pipe\n ProxyCommand nc %h %p\nHost bad\n KnownHostsCommand /bin/true\n", nil)
	far := p.Target(context.Background(), host("far"))
	var hops []string
	for via := far.Route.Via; via != nil; via = via.Route.Via {
		hops = append(hops, via.User+"@"+via.Address())
	}
	if len(hops) != 2 || hops[0] != "me@b:2200" || !strings.HasSuffix(hops[1], "@a:22") {
		t.Errorf("jump hosts from the last to the first: %v", hops)
	}
	pipe := p.Target(context.Background(), host("pipe"))
	if diff := cmp.Diff([]string{"/bin/zsh", "-c", "exec nc pipe 22"}, pipe.Route.ProxyCommand); diff != "" {
		t.Errorf("proxy command (-want +got):\n%s", diff)
	}
	for name, part := range map[string]string{"bad": "knownhostscommand"} {
		got := p.Target(context.Background(), host(name))
		if got.Err() == nil || !strings.Contains(strings.ToLower(got.Err().Error()), part) || got.Port != 22 || !got.Route.Unresolved {
			t.Errorf("%s: %v, port %d, route %+v", name, got.Err(), got.Port, got.Route)
		}
	}
}

// What ssh_config asks for in vain is said once for all hosts, and refuses none.
func TestNoticesAreOnce(t *testing.T) {
	var told []string
	p := planner(t, "Host *\n ForwardAgent yes\n CheckHostIP yes\n", func(o *Options) {
		o.Notice = func(text string) { told = append(told, text) }
	})
	for _, name := range []string{"a", "b", "c"} {
		if got := p.Target(context.Background(), host(name)); got.Err() != nil {
			t.Error(got.Err())
		}
	}
	if len(told) != 2 || !strings.HasPrefix(told[0], "CheckHostIP yes (") || !strings.HasPrefix(told[1], "ForwardAgent (") {
		t.Errorf("told %q, want one line for each keyword", told)
	}
}

// What has no effect on how the key of a jump host is checked is said too, also where an earlier run has reached it.
func TestNoticesOfJumpHosts(t *testing.T) {
	const config = "Host hop\n VerifyHostKeyDNS yes\n ChannelTimeout session=5m\nHost web\n ProxyJump hop\n"
	for name, target := range map[string]fleet.Target{
		"new":     host("web"),
		"earlier": {Host: fleet.Host{Name: "db"}, User: "u", Port: 22, Route: &fleet.Route{Via: &fleet.Target{Host: fleet.Host{Name: "hop"}, User: "u", Port: 22}}},
	} {
		var told []string
		p := planner(t, config, func(o *Options) { o.Notice = func(text string) { told = append(told, text) } })
		for range 2 {
			if got := p.Target(context.Background(), target); got.Err() != nil || got.Jump() == nil {
				t.Errorf("%s: %v, %+v", name, got.Err(), got.Route)
			}
		}
		if told = slices.DeleteFunc(told, func(text string) bool { return strings.Contains(text, "another way") }); len(told) != 1 || !strings.HasPrefix(told[0], "VerifyHostKeyDNS yes (") {
			t.Errorf("%s: told %q, want one line", name, told)
		}
	}
}

// Who asks how hosts are reached is told once what of ssh_config has no use here.
func TestUnusedIsToldOnce(t *testing.T) {
	var told []string
	p := planner(t, "Compression yes\nHost b\n IPQoS cs1\n", func(o *Options) {
		o.Verbose = func(t fleet.Target, line string) {
			if text, ok := strings.CutPrefix(line, "no effect here, for this and other hosts: "); ok {
				told = append(told, t.Host.Name+" "+text)
			}
		}
		o.Notice = func(text string) { t.Errorf("noticed %q", text) }
	})
	for _, name := range []string{"a", "b", "c"} {
		p.Target(context.Background(), host(name))
	}
	if len(told) != 2 || !strings.HasPrefix(told[0], "a compression yes (") || !strings.HasPrefix(told[1], "b ipqos cs1 cs1 (") {
		t.Errorf("told %q", told)
	}
}

// The other client has no time of RekeyLimit, which is said.
func TestRekeyTimeOfAPlainClient(t *testing.T) {
	for _, plain := range []bool{true, false} {
		var told []string
		p := planner(t, "RekeyLimit 1G 1h\n", func(o *Options) {
			o.Plain, o.Notice = plain, func(text string) { told = append(told, text) }
		})
		p.Target(context.Background(), host("a"))
		p.Target(context.Background(), host("b"))
		if said := len(told) == 1 && strings.HasPrefix(told[0], "the time of RekeyLimit ("); said != plain || len(told) > 1 {
			t.Errorf("plain %t: told %q", plain, told)
		}
	}
}

func TestConnectionSettings(t *testing.T) {
	p := planner(t, "Host set\n ConnectionAttempts 4\n TCPKeepAlive yes\n ServerAliveInterval 7\n ServerAliveCountMax 9\n RekeyLimit 1M 1h\n"+
		"Host batch\n BatchMode yes\n RequiredRSASize 3072\n CASignatureAlgorithms ssh-ed25519\nHost none\n PubkeyAuthentication no\n BatchMode yes\n"+
		"Host no\n TCPKeepAlive no\n ServerAliveCountMax 0\nHost three\n ServerAliveCountMax 3\n", nil)
	for name, want := range map[string]ssh.Settings{
		"set": {
			Attempts: 4, KeepAlive: true, Alive: 7 * time.Second, AliveMax: 9, RekeyBytes: 1 << 20, RekeyAfter: time.Hour,
		},
		"no":    {Attempts: 1, AliveMax: -1},
		"rest":  {Attempts: 1},
		"three": {Attempts: 1, AliveMax: 3},
		"batch": {Attempts: 1, Methods: []string{"publickey"}},
	} {
		got := *p.Target(context.Background(), host(name)).Settings()
		got.Env, got.Keys, got.Known, got.Password = nil, ssh.KeySpec{}, ssh.HostKeySpec{}, false
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := p.Target(context.Background(), host("none")).Err(); err == nil || !strings.Contains(err.Error(), "no authentication method is left") {
		t.Errorf("without any method: %v", err)
	}
	for name, batch := range map[string]bool{"batch": true, "rest": false} {
		own := p.Target(context.Background(), host(name)).Settings()
		want, o := own.Keys, own.Known
		if want.NoPassphrase != batch || (o.CASignatures != nil) != batch || (want.RSABits == 3072) != batch {
			t.Errorf("%s: wants %+v, trusts by %q", name, want, o.CASignatures)
		}
	}
}

// Targets that are reached alike share one Endpoint, so that memory does not grow with
// their number.
func TestEqualEndpointsAreOne(t *testing.T) {
	p := planner(t, "Host x*\n Ciphers aes256-ctr\nHost far*\n ProxyJump one,two\n", nil)
	a, b, x := p.Target(context.Background(), host("a")), p.Target(context.Background(), host("b")), p.Target(context.Background(), host("x1"))
	if a.Endpoint != b.Endpoint || a.Route != b.Route || a.Route != &a.Endpoint.Route {
		t.Errorf("two endpoints for equal targets: %+v, %+v", a.Endpoint, b.Endpoint)
	}
	if a.Endpoint == x.Endpoint || len(x.Settings().Ciphers) != 1 || a.Settings().Ciphers != nil {
		t.Errorf("ciphers %v and %v", a.Settings().Ciphers, x.Settings().Ciphers)
	}
	far1, far2 := p.Target(context.Background(), host("far1")), p.Target(context.Background(), host("far2"))
	if far1.Endpoint != far2.Endpoint || far1.Jump() == nil || &far1.Jump().Target != far1.Route.Via || far1.Jump().Jump() == nil {
		t.Errorf("behind the same jump hosts: %+v, %+v", far1.Endpoint, far2.Endpoint)
	}
}

// A plan resolves each target once and asks each command of Match exec once, however often
// its targets are iterated. What a target is refused for stays with it.
func TestAPlanResolvesEachTargetOnce(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	resolved := 0
	p := planner(t, "Match exec \"echo >>"+ran+"\"\n User matched\nHost bad\n KnownHostsCommand /bin/true\n", func(o *Options) {
		o.Entry = func(fleet.Target) hosts.Entry { resolved++; return hosts.Entry{} }
	})
	const n = 1000
	targets := func(yield func(fleet.Target) bool) {
		for i := range n {
			name := fmt.Sprintf("h%d", i)
			if i == 7 {
				name = "bad"
			}
			if !yield(fleet.Target{Host: fleet.Host{Name: name}, Index: 2 * i}) {
				return
			}
		}
	}
	errNone := errors.New("no command")
	command := &echo{not: 18, err: errNone}
	made, err := p.Plan(t.Context(), targets, command)
	if err != nil {
		t.Fatal(err)
	}
	if command.expanded != 0 {
		t.Errorf("%d commands are expanded before anything asks for them", command.expanded)
	}
	for range 3 {
		i := 0
		for got := range made.Targets() {
			want := fmt.Sprintf("echo matched@%s %d", got.Host.Name, got.Index)
			switch {
			case got.Index != 2*i:
				t.Errorf("target %d has index %d", i, got.Index)
			case i == 7:
				if got.Err() == nil || !got.Route.Unresolved {
					t.Errorf("a bad target: %+v", got)
				}
			case i == 9:
				if !errors.Is(got.Err(), errNone) || got.Route.Unresolved || got.Command != "" {
					t.Errorf("a target without a command: %+v", got)
				}
			case got.Err() != nil || got.User != "matched" || got.Command != want || made.Of(got.Target).Endpoint != got.Endpoint:
				t.Errorf("target %d: %+v", i, got)
			}
			i++
		}
		if i != n {
			t.Errorf("%d targets", i)
		}
	}
	if want := 3 * (n - 1); command.expanded != want {
		t.Errorf("%d commands were expanded, want %d", command.expanded, want)
	}
	if got := made.Of(fleet.Target{Index: 1}); !errors.Is(got.Err(), ssh.ErrUnplanned) {
		t.Errorf("a target that is not in the plan: %+v", got)
	}
	if text, err := os.ReadFile(ran); resolved != n || err != nil || string(text) != "\n" {
		t.Errorf("%d targets resolved, the command of Match exec said %q (%v)", resolved, text, err)
	}
	distinct := 0
	for range made.Endpoints() {
		distinct++
	}
	if distinct != 3 { // the good ones', and one for each bad one
		t.Errorf("%d endpoints", distinct)
	}
}

type echo struct {
	not      int // the index of the target without a command
	err      error
	expanded int
}

func (e *echo) Check(t fleet.Target) error {
	if t.Index == e.not {
		return e.err
	}
	return nil
}

func (e *echo) Expand(t fleet.Target) string {
	e.expanded++
	return fmt.Sprintf("echo %s@%s %d", t.User, t.Host.Name, t.Index)
}

// A target that is not where it was is not reached as another one.
func TestTargetsThatChange(t *testing.T) {
	p := planner(t, "Host a\nHostName 10.0.0.1\nHost b\nHostName 10.0.0.2\nPort 2222\n", nil)
	list := []fleet.Target{host("a"), host("b")}
	list[1].Index = 1
	made, err := p.Plan(t.Context(), func(yield func(fleet.Target) bool) { slices.Values(list)(yield) }, nil)
	if err != nil || made.Same() != nil {
		t.Fatal(err, made.Same())
	}
	for _, change := range []func(){func() { slices.Reverse(list) }, func() { list = append(list, host("c")) }, func() { list = list[:1] }} {
		change()
		for x := range made.Targets() {
			if x.Err() == nil || x.Route.Address != "" {
				t.Errorf("%s, once %v, is reached at %q: %v", x.Host, list, x.Route.Address, x.Err())
			}
		}
		if made.Same() == nil {
			t.Errorf("%v are the same", list)
		}
	}
	if _, err := p.Plan(t.Context(), slices.Values([]fleet.Target{host("a"), host("b")}), nil); err == nil {
		t.Error("two targets have one index")
	}
}

// What a plan keeps of each target; endpoints of their own are the worst case.
func BenchmarkPlan(b *testing.B) {
	for name, config := range map[string]string{"alike": "User someone\n", "addresses": "HostName %h.example.com\n"} {
		b.Run(name, func(b *testing.B) {
			const n = 100_000
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("node%d", i)
			}
			targets := func(yield func(fleet.Target) bool) {
				for i, name := range names {
					if !yield(fleet.Target{Host: fleet.Host{Name: name}, Index: i}) {
						return
					}
				}
			}
			for b.Loop() {
				p := planner(b, config, nil)
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				made, err := p.Plan(b.Context(), targets, nil)
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/target")
				runtime.KeepAlive(made)
			}
		})
	}
}

func BenchmarkTarget(b *testing.B) {
	p := planner(b, "Host *\n User someone\n", nil)
	b.ReportAllocs()
	for b.Loop() {
		p.Target(context.Background(), host("node1"))
	}
}

// A client whose algorithms cannot be configured does not ignore those that ssh_config
// sets.
// Lists that ssh_config sets reach both clients: they hold what either has, and what is weak
// only if it is named.
func TestAlgorithms(t *testing.T) {
	all := func(names ...[]string) []string { return slices.Concat(names...) }
	standard := algorithms.Default()
	for line, want := range map[string]ssh.Settings{
		"":                    {},
		"Ciphers aes256-ctr":  {Ciphers: []string{"aes256-ctr"}},
		"Ciphers +aes128-cbc": {Ciphers: all(standard.Ciphers, []string{"aes128-cbc"})},
		"MACs hmac-sha2-512":  {MACs: []string{"hmac-sha2-512"}},
		"MACs +hmac-sha1":     {MACs: all(standard.MACs, []string{"hmac-sha1"})},
		"KexAlgorithms curve25519-sha256,sntrup761x25519-sha512,diffie-hellman-group14-sha256": {
			Kex: []string{"curve25519-sha256", "diffie-hellman-group14-sha256"},
		},
		"KexAlgorithms +diffie-hellman-group1-sha1": {Kex: all(standard.Kex, []string{"diffie-hellman-group1-sha1"})},
		"HostKeyAlgorithms ssh-ed25519":             {HostKeys: []string{"ssh-ed25519"}, HostKeysFixed: true},
		"HostKeyAlgorithms +ssh-rsa":                {HostKeys: all(standard.HostKeys, []string{"ssh-rsa"})},
		"HostKeyAlgorithms ^ssh-rsa":                {HostKeys: all([]string{"ssh-rsa"}, standard.HostKeys), HostKeysFixed: true},
		"PubkeyAcceptedAlgorithms ssh-ed25519":      {UserKeys: []string{"ssh-ed25519"}},
	} {
		for _, plain := range []bool{true, false} {
			p := planner(t, "Host web\n "+line+"\n", func(o *Options) { o.Plain = plain })
			got := p.Target(t.Context(), host("web")).Settings()
			want.Attempts, want.AliveMax, want.Env = got.Attempts, got.AliveMax, got.Env
			want.Keys, want.Known, want.Password = got.Keys, got.Known, got.Password
			if diff := cmp.Diff(want, *got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s, plain %t (-want +got):\n%s", line, plain, diff)
			}
		}
	}
	for _, list := range [][]string{standard.Kex, standard.Ciphers, standard.MACs, standard.HostKeys} {
		if i := slices.IndexFunc(list, algorithms.IsLegacy); i >= 0 {
			t.Errorf("%s is offered by default", list[i])
		}
	}
}

// The address and jump hosts of an earlier run are kept, whatever ssh_config says now;
// keys and host keys are set for each jump host too.
func TestTheWayOfAnEarlierRunStays(t *testing.T) {
	ctx := context.Background()
	const then = "Host web\n HostName 10.0.0.1\n ProxyJump me@hop:2200,far\n"
	was := planner(t, then, nil).Target(ctx, host("web")).Target
	recorded := func() fleet.Target { // as package journal returns it
		strip := func(r *fleet.Route, via *fleet.Target) *fleet.Route {
			return &fleet.Route{Address: r.Address, HostKeyAlias: r.HostKeyAlias, ProxyCommand: r.ProxyCommand, Via: via}
		}
		far := *was.Route.Via
		hop := *far.Route.Via
		hop.Route = strip(hop.Route, nil)
		far.Route = strip(far.Route, &hop)
		again := was
		again.Route = strip(was.Route, &far)
		return again
	}
	for name, c := range map[string]struct {
		config string
		told   int
	}{
		"nothing has changed":     {then, 0},
		"the jump hosts are gone": {"Host web\n HostName 10.0.0.1\nHost *\n IdentityFile /keys/now\n", 1},
		"another address":         {"Host web\n HostName 10.9.9.9\n", 1},
		"a proxy command":         {"Host web\n HostName 10.0.0.1\n ProxyCommand nc %h %p\n", 1},
		"other jump hosts":        {"Host web\n HostName 10.0.0.1\n ProxyJump other\n", 1},
		"the jump host moved":     {then + "Host hop\n HostName 10.7.7.7\n", 1},
	} {
		var told []string
		p := planner(t, c.config, func(o *Options) { o.Notice = func(text string) { told = append(told, text) } })
		got := p.Target(ctx, recorded())
		if got.Err() != nil || !sameWay(got.Route, was.Route) || got.User != was.User || got.Port != 22 {
			t.Errorf("%s: %+v", name, got.Route)
		}
		if len(told) != c.told {
			t.Errorf("%s: told %q", name, told)
		}
		hops := 0
		for hop := &got; hop != nil; hop = hop.Jump() {
			hops++
			if hop.Endpoint == nil || hop.Endpoint.Settings == nil || (hop.Jump() == nil) != (hop.Route.Via == nil) {
				t.Errorf("%s: %s: %+v", name, hop.Host, hop.Endpoint)
			}
		}
		if hops != 3 {
			t.Errorf("%s: %d hops", name, hops)
		}
	}
	direct := planner(t, "Host web\n ProxyJump hop\n", nil).Target(ctx, fleet.Target{Host: fleet.Host{Name: "web"}, Route: &fleet.Route{}})
	if direct.Route.Via != nil || direct.Err() != nil {
		t.Errorf("a direct way became %+v", direct.Route)
	}
	refused := planner(t, "Host web\n KnownHostsCommand /bin/true\n", nil).Target(ctx, recorded())
	if refused.Err() == nil {
		t.Error("what ssh_config has that is not honoured does not count")
	}
	listed := planner(t, "Host 10.1.1.1\n User deploy\n", nil).Target(ctx, fleet.Target{
		Host: fleet.Host{Name: "alpha"}, Route: &fleet.Route{Address: "10.1.1.1", Listed: "10.1.1.1", KeyFile: "/keys/alpha"},
	})
	if want := listed.Settings().Keys; listed.User != "deploy" || len(want.Files) != 1 || want.Files[0] != "/keys/alpha" {
		t.Errorf("%+v %v", listed, want)
	}
}

// The options that an inventory has for a host are used for it alone, and again when an earlier
// run's target is planned.
func TestOptionsOfTheInventory(t *testing.T) {
	entry := func(target fleet.Target) hosts.Entry {
		switch target.Host.Name {
		case "web":
			return hosts.Entry{SSHOptions: []string{"ProxyJump=me@gate", "User=own", "Ciphers=aes256-ctr"}}
		case "bad":
			return hosts.Entry{SSHOptions: []string{"Prot=22"}}
		}
		return hosts.Entry{}
	}
	p := planner(t, "Host *\n User conf\n", func(o *Options) { o.Entry = entry })
	web := p.Target(t.Context(), host("web"))
	again := planner(t, "Host *\n User conf\n", nil).Target(t.Context(), fleet.Target{Host: web.Host, Route: web.Route})
	for _, got := range []ssh.Target{web, again} {
		if got.Err() != nil || got.User != "own" || got.Jump() == nil || got.Jump().User != "me" || len(got.Settings().Ciphers) != 1 {
			t.Errorf("%+v, %+v, %v", got, got.Settings(), got.Err())
		}
	}
	if db := p.Target(t.Context(), host("db")); db.User != "conf" || db.Jump() != nil || db.Settings().Ciphers != nil {
		t.Errorf("another host has %+v", db)
	}
	if bad := p.Target(t.Context(), host("bad")); bad.Err() == nil || !strings.Contains(bad.Err().Error(), "the host's own options") {
		t.Errorf("a bad option: %v", bad.Err())
	}
}

// What the inventory has for a target outlives a configuration that could not be used, and so
// does the way of an earlier run.
func TestAFailedPlanLosesNothing(t *testing.T) {
	entry := func(fleet.Target) hosts.Entry {
		return hosts.Entry{Address: "10.9.9.9", IdentityFile: "/keys/web", SSHOptions: []string{"ProxyJump=gate"}}
	}
	const mended = "Host *\n User conf\n Port 2222\n"
	const broken = mended + " KnownHostsCommand /bin/true\n"
	failed := planner(t, broken, func(o *Options) { o.Entry = entry }).Target(t.Context(), host("web"))
	if failed.Err() == nil {
		t.Fatal("it did not fail")
	}
	way := func(got ssh.Target) string {
		jump := ""
		if got.Jump() != nil {
			jump = got.Jump().Host.Name
		}
		return fmt.Sprint(got.Err(), got.User, got.Dialled(), got.Port, got.Route.KeyFile, jump)
	}
	again := planner(t, mended, nil).Target(t.Context(), failed.Target)
	if got := way(again); got != "<nil>conf10.9.9.92222/keys/webgate" {
		t.Errorf("after a failed plan: %s", got)
	}
	for name, earlier := range map[string]fleet.Target{"good": again.Target, "failed": failed.Target} {
		twice := planner(t, broken, nil).Target(t.Context(), earlier)
		if got := way(planner(t, mended, nil).Target(t.Context(), twice.Target)); got != "<nil>conf10.9.9.92222/keys/webgate" {
			t.Errorf("after a failed plan of a %s one: %s", name, got)
		}
	}
	const refused = "Host *\n User a$b\n ProxyCommand nc %r %h\n"
	p := planner(t, refused, nil).Target(t.Context(), host("web"))
	proxied := planner(t, "Host *\n ProxyCommand nc %h %p\n", nil).Target(t.Context(), p.Target)
	if p.Err() == nil || proxied.Err() != nil || len(proxied.Route.ProxyCommand) == 0 {
		t.Errorf("after a refused proxy command (%v): %v, %q", p.Err(), proxied.Err(), proxied.Route.ProxyCommand)
	}
}

// Who is reached with the system's ssh gets what only that has. Jump hosts never are, and a
// connection that is open at ControlPath is not used on the way of an earlier run.
func TestProgram(t *testing.T) {
	ctx := t.Context()
	const text = "Host token\n PKCS11Provider /x.so\nHost far\n ProxyJump token\nHost old\n KexAlgorithms sntrup761x25519-sha512@openssh.com\n" +
		"Host krb\n GSSAPIAuthentication yes\n PreferredAuthentications gssapi-with-mic\nHost open\n ControlPath /run/%C\n" +
		"Host asks\n KnownHostsCommand /bin/x\n StrictHostKeyChecking accept-new\n"
	for program, want := range map[Program]map[string]string{
		NoProgram:     {"token": "pkcs11provider", "far": "pkcs11provider", "old": "kexalgorithms", "krb": "preferredauthentications", "open": ""},
		ProgramAtNeed: {"token": "", "far": "pkcs11provider", "old": "--client ssh", "krb": "--client ssh offers gssapi-with-mic", "open": ""},
		ProgramForAll: {"token": "", "far": "pkcs11provider", "old": "", "krb": "", "open": ""},
	} {
		p := planner(t, text, func(o *Options) { o.Program = program })
		for name, part := range want {
			planned := p.Target(ctx, fleet.Target{Host: fleet.Host{Name: name}})
			err := planned.Err()
			if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("program %d, %s: %v, want %q", program, name, err, part)
			}
			if got := planned.Settings().Program.Needed != ""; got != (name == "token" && program != NoProgram) {
				t.Errorf("program %d, %s: needed %t", program, name, got)
			}
		}
		asks := p.Target(ctx, fleet.Target{Host: fleet.Host{Name: "asks"}})
		if policy := asks.Settings().Known.Policy; asks.Err() == nil && policy != ssh.HostKeysStrict {
			t.Errorf("program %d: %v though a command knows the hosts", program, policy)
		}
		open := p.Target(ctx, fleet.Target{Host: fleet.Host{Name: "open"}})
		if got := open.Settings().Program.ControlPath != ""; got != (program != NoProgram) {
			t.Errorf("program %d: ControlPath %q", program, open.Settings().Program.ControlPath)
		}
		elsewhere := fleet.Target{Host: fleet.Host{Name: "open"}, User: open.User, Port: open.Port, Route: &fleet.Route{Address: "10.0.0.1"}}
		if kept := p.Target(ctx, elsewhere); kept.Dialled() != "10.0.0.1" || kept.Settings().Program.ControlPath != "" {
			t.Errorf("program %d: %s by way of %q", program, kept.Dialled(), kept.Settings().Program.ControlPath)
		}
	}
}
