package mask

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// marked returns text with each token in angle brackets, behind the first letters of its kind.
func marked(m *Masker, text, host string) string {
	var b strings.Builder
	at := 0
	for _, t := range m.Tokens(nil, []byte(text), OwnOf(host)) {
		fmt.Fprintf(&b, "%s<%s %s>", text[at:t.Start], t.Kind, text[t.Start:t.End])
		at = t.End
	}
	return b.String() + text[at:]
}

func TestTokens(t *testing.T) {
	m := New(All)
	for _, want := range []string{
		// Times.
		" <time 13:37:02> up <duration 12 days>,  <time 3:11>,  0 users,  load average: 0.03, 0.08, 0.12",
		"<time Sun Nov 29 12:07:08 UTC 2026>\n<time Sun Nov  1 12:07:08 PM CET 2026>",
		"<time 2026-11-29T12:07:08.123Z>, <time 2026-11-29 12:07:08,123 +0100>; <time 2026-11-29T12:07+01:00>",
		"<time Nov  9 12:07:08> web sshd[<pid 1234>]: Accepted publickey for root from <address 192.0.2.7> port <port 52114> ssh2: ED25519 <hash SHA256:" + strings.Repeat("aB3+/", 8) + "xyz>",
		`<address 192.0.2.7> - - [<time 29/Nov/2026:12:07:08 +0000>] "GET / HTTP/1.1" 200 612`,
		"<time Sun, 29 Nov 2026 12:07:08 GMT> <time 29-Nov-2026 12:07:08> <time 20261129T120708Z> <time 2026/11/29 12:07:08>",
		"at <time 23:59:60>, not at 25:00, 12:61, 12:3, 1:2:3, 123:45, 12:34:56:78, x12:34 or 12:34x",
		// Dates.
		"<date 2026-11-29> <date 29/11/2026> <date 11/29/2026> <date 29 Nov 2026> <date Nov 29, 2026> <date Nov 29> May I? (<date 2026-11-29>)",
		"backup-<date 2026-11-29>.tar.gz, 2026-13-29, 2026-11-32, 2026-11-29-1, 1/2/3, 5 May be",
		// Durations and sizes.
		"<duration 12ms> <duration 1h2m3.5s> <duration 2h 30m> <duration 2h30m>, <duration 0.41 s> <duration 3 days> <duration 1-02:03:04> <duration 5µs> <duration 1 min 05 s> <duration 10d>",
		"<size 4K> <size 1.5 MiB> <size 4096 bytes> <size 100B> <size 12 kB> bytes:<size 123> <size 3.2G> 4x 3 Km 5 m 6 K 1.2.3s 10dd",
		"rtt min/avg/max = 0.1/0.2/0.3 <duration 1 ms>",
		// Numbers of processes and ports.
		"pid <pid 17>, PID=<pid 18>; process <pid 19> [20] a[1]b x[<pid 2>] pid x, pids 3, pid 1.5",
		"localhost:<port 8080> *:<port 22> [<address ::>]:<port 22> <address 10.0.0.1>:<port 22> main.go:123 ok:3 port <port 22>",
		// Addresses.
		"<address 10.0.0.1>/24 1.2.3.4.5 10.0.0.256 10.0.0 v1.2.3.4x <address fe80::1%eth0>/64 <address ::1> <address 2001:db8::7>.",
		"<address 00:16:3e:aa:bb:cc> <address 00-16-3e-aa-bb-cc> 00:16:3e:aa:bb 00:16:3e:aa:bb:cc:dd <address ::ffff:192.0.2.1> <address 1:2:3:4:5:6:7:8>",
		"std::vector a::b::c ::: [<address fe80::1>]:<port 22> 1:2:3:4:5:6:7:8:9",
		// Identifiers.
		"<uuid 6ba7b810-9dad-11d1-80b4-00c04fd430c8> <uuid 6BA7B810-9DAD-11D1-80B4-00C04FD430C8> <hash 6ba7b810>-9dad-11d1-80b4-<hash 00c04fd430c89>",
		"commit <hash 1a2b3c4> <hash d41d8cd98f00b204e9800998ecf8427e>  deadbeef 1234567 1A2b3c4 1a2b3c <hash 0x7ffe1234> 0xzz " + "<hash " + strings.Repeat("0", 40) + ">",
		// The host's own name.
		"<host web01> <host WEB01.example.org> <host web01>.example.com <host web01.example.org>: myweb01 web010 web01_x <host web01>-eth0 /var/<host web01>.log",
		"", "\n\n", "no token at all: Maybe, Port au Prince, process this, Sunday best, 17, 3.14, 100%",
	} {
		text := regexp.MustCompile(`<[a-z]+ ([^>]*)>`).ReplaceAllString(want, "$1")
		if got := marked(m, text, "web01.example.org"); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

// OwnOf takes the names that a list of hosts can have.
func TestOwn(t *testing.T) {
	for _, c := range []struct{ host, text, want string }{
		{"10.0.0.1", "10.0.0.1 10.0.0.10 10.0.0.1:22 10.0.0.1.5 10.0.0.1.", "<host 10.0.0.1> <address 10.0.0.10> <host 10.0.0.1>:<port 22> 10.0.0.1.5 <host 10.0.0.1>."},
		{"2001:db8::7", "2001:db8::7 and 2001:db8::70", "<host 2001:db8::7> and <address 2001:db8::70>"},
		{"web-1", "web-1 web-10 Web-1 a-web-1", "<host web-1> web-10 <host Web-1> a-<host web-1>"},
		{"a", "a b ab a", "<host a> b ab <host a>"},
		{"", "a", "a"},
		{".", "a", "a"},
		{"::1", "::1", "<address ::1>"},
	} {
		if got := marked(New(All), c.text, c.host); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.host, got, c.want)
		}
	}
}

// A kind that is not masked keeps its text, and no other kind takes it.
func TestKinds(t *testing.T) {
	const text = "2026-11-29 12:07:08 10.0.0.1:22 sshd[7] 5 s"
	for kinds, want := range map[Set]string{
		0:                 text,
		Of(Time):          "<time 2026-11-29 12:07:08> 10.0.0.1:22 sshd[7] 5 s",
		Of(Date):          text,
		Of(Port, PID):     "2026-11-29 12:07:08 10.0.0.1:<port 22> sshd[<pid 7>] 5 s",
		Of(Address, Time): "<time 2026-11-29 12:07:08> <address 10.0.0.1>:22 sshd[7] 5 s",
	} {
		if got := marked(New(kinds), text, "h"); got != want {
			t.Errorf("%s: %s", kinds, got)
		}
	}
}

// Patterns match within lines, overlap, and come before the built-in kinds.
func TestPatterns(t *testing.T) {
	m := New(Of(Time, PID), regexp.MustCompile(`load .*`), regexp.MustCompile(`age: \d`), regexp.MustCompile(`(?s)x.*y|z*`), regexp.MustCompile(`12:07`))
	const text = "x load average: 1 at 12:00:00\ny pid 7 12:00:01 12:07:08 pid 8\n"
	const want = "x <pattern load average: 1 at 12:00:00>\ny pid <pid 7> <time 12:00:01> <pattern 12:07>:08 pid <pid 8>\n"
	if got := marked(m, text, "h"); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	if got := marked(New(0, regexp.MustCompile(`\d+`)), "a 1 b 22", "h"); got != "a <pattern 1> b <pattern 22>" {
		t.Error(got)
	}
}

// Append gives equal bytes for texts that differ in masked tokens only, and for no others,
// also if a text imitates the marks.
func TestAppend(t *testing.T) {
	m := New(Of(PID, Port))
	masked := func(text string, kinds Set) string {
		return string(Append(nil, []byte(text), m.Tokens(nil, []byte(text), Own{}), kinds))
	}
	if a, b := masked("pid 1 port 2\n", Of(PID)), masked("pid 345 port 2\n", Of(PID)); a != b {
		t.Errorf("%q and %q", a, b)
	}
	if a, b := masked("pid 1 port 2\n", Of(PID)), masked("pid 1 port 3\n", Of(PID)); a == b {
		t.Errorf("%q", a)
	}
	if a, b := masked("pid 1\n", Of(PID)), masked("pid \x00D\n", Of(PID)); a == b {
		t.Errorf("%q", a)
	}
	if a := masked("a\x00b\x00", 0); a != "a\x00\xffb\x00\xff" {
		t.Errorf("%q", a)
	}
}

// Random pieces of tokens end, in time that grows with their length.
func TestPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := strings.Fields("1 22 333 2026 12 a f fe80 0x : :: . - / [ ] * % T Z + Nov Sun pid port SHA256 ms h kB UTC web1 1h 10.0.0.1 , _ µ")
	m := New(All)
	for range 5_000 {
		var text []byte
		for range 1 + r.IntN(12) {
			text = append(text, pieces[r.IntN(len(pieces))]...)
			if r.IntN(4) == 0 {
				text = append(text, ' ')
			}
		}
		at := 0
		for _, k := range m.Tokens(nil, text, OwnOf("web1")) {
			if k.Start < at || k.End <= k.Start || k.End > len(text) {
				t.Fatalf("%+v behind %d of %q", k, at, text)
			}
			at = k.End
		}
	}
	for _, piece := range pieces {
		if n := len(m.Tokens(nil, bytes.Repeat([]byte(piece), 100_000), OwnOf("web1"))); n > 100_000 {
			t.Errorf("%q: %d", piece, n)
		}
	}
}

func TestParse(t *testing.T) {
	for name, want := range map[string]Set{"time": Of(Time), "addresses": Of(Address), "hashes": Of(Hash), "pids": Of(PID), "uuid": Of(UUID), "sizes": Of(Size)} {
		if got, err := Parse(name); err != nil || got != want {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for _, name := range []string{"", "pattern", "Time", "s", "tim"} {
		if got, err := Parse(name); err == nil {
			t.Errorf("%q: %v", name, got)
		}
	}
	if got := Of(Time, Host).String(); got != "time, host" || len(Names()) != int(Pattern) || All != Set(1<<len(Names())-1) {
		t.Error(got)
	}
}

func FuzzTokens(f *testing.F) {
	for _, seed := range []string{
		sample(1), "1h1h1h1h1h1h1h1h1h1h1h", "::1%:::", "1:2:3:4:5:6:7:8:", "12:34:56:78:9a:bc-", "0.1.2.3.4", "Nov 1 1:00:00 +01",
		"Sun, 1", "[1]x[1", "SHA256:", "2026-11-", "20261129T12070", "0x", "5\xc2\xb5s", "pid=((", "\x00\x01",
	} {
		f.Add([]byte(seed), "web1.example.org")
	}
	m := New(All, regexp.MustCompile(`x+|1`))
	f.Fuzz(func(t *testing.T, text []byte, host string) {
		before := bytes.Clone(text)
		tokens := m.Tokens(nil, text, OwnOf(host))
		if !bytes.Equal(text, before) {
			t.Fatal("the text was changed")
		}
		at := 0
		for _, k := range tokens {
			if k.Start < at || k.End <= k.Start || k.End > len(text) || k.Kind >= NumKinds {
				t.Fatalf("%+v behind %d of %q", k, at, text)
			}
			if bytes.IndexByte(text[k.Start:k.End], '\n') >= 0 {
				t.Fatalf("%q is in two lines", text[k.Start:k.End])
			}
			at = k.End
		}
		masked := Append(nil, text, tokens, All|Of(Pattern))
		if bytes.Count(masked, []byte{'\n'}) != bytes.Count(text, []byte{'\n'}) {
			t.Fatalf("lines of %q", masked)
		}
		// What is between the tokens is in the masked text as it was.
		var kept []byte
		at = 0
		for _, k := range tokens {
			kept = append(kept, text[at:k.Start]...)
			at = k.End
		}
		kept = append(kept, text[at:]...)
		var left []byte
		for i := 0; i < len(masked); i++ {
			if masked[i] == 0 {
				if i++; masked[i] == nulMark {
					left = append(left, 0)
				}
				continue
			}
			left = append(left, masked[i])
		}
		if !bytes.Equal(kept, left) {
			t.Fatalf("%q became %q", text, masked)
		}
	})
}

// sample is n times some lines of usual output.
func sample(n int) string {
	return strings.Repeat(`Nov 29 12:07:08 web01 sshd[1234]: Accepted publickey for root from 192.0.2.7 port 52114 ssh2
 13:37:02 up 12 days,  3:11,  0 users,  load average: 0.03, 0.08, 0.12
Linux web01 6.1.0-21-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.90-1 (2024-05-03) x86_64 GNU/Linux
Filesystem      Size  Used Avail Use% Mounted on
/dev/sda1        40G   12G   26G  32% /
package openssh-server is installed; configuration file /etc/ssh/sshd_config was not changed
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 00:16:3e:aa:bb:cc brd ff:ff:ff:ff:ff:ff
`, n)
}

// processorTime is that of this process, which other processes on the machine do not change.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTokens is the rate on usual output, with nothing left out; the floor is 200 MB/s
// on one core. MASK_FILE names another text.
func BenchmarkTokens(b *testing.B) {
	texts := map[string][]byte{
		"mixed":   []byte(sample(2000)),
		"numbers": []byte(strings.Repeat("12:34:56.789 10.0.0.1 4096 1.5 MiB 12ms a1b2c3d4 2026-11-29 17 3.14\n", 10_000)),
		"words":   []byte(strings.Repeat("the quick brown fox jumps over the lazy dog and nothing else happens\n", 10_000)),
	}
	if name := os.Getenv("MASK_FILE"); name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		texts["file"] = text
	}
	m, own := New(All), OwnOf("web01.example.org")
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var tokens []Token
			var masked []byte
			before := processorTime()
			for b.Loop() {
				tokens = m.Tokens(tokens[:0], text, own)
				masked = Append(masked[:0], text, tokens, All)
			}
			b.ReportMetric(float64(len(text))*float64(b.N)/1e6/(processorTime()-before).Seconds(), "MB/cpu-s")
		})
	}
}
