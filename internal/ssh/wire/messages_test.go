package wire

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixedKey is the same host key in every run, so that transcripts can be kept.
func fixedKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("a seed for the scripted server..."[:ed25519.SeedSize]))
}

// A phase brings a connection to where a message is then sent.
type phase struct {
	name  string
	reach func(s *scripted)
}

// phases are the columns of testdata/messages.txt.
func phases() []phase {
	in := func(request func(c *Client)) func(s *scripted) {
		return func(s *scripted) {
			quick(s)
			request(s.client)
			s.pump()
			s.send(serviceAccept())
			s.deliver()
		}
	}
	interactive := in(func(c *Client) { c.AuthInteractive("u") })
	return []phase{
		{"greeting", func(s *scripted) { s.pump() }},
		{"version", func(s *scripted) { s.pump(); s.sendVersion(); s.deliver() }},
		{"kexinit", toKexInit},
		{"trust", func(s *scripted) { s.distrust = true; toKexInit(s); s.send(s.reply()); s.deliver() }},
		{"newkeys", func(s *scripted) { toKexInit(s); s.send(s.reply()); s.deliver() }},
		{"idle", quick},
		{"service", func(s *scripted) { quick(s); s.client.AuthPassword("u", []byte("secret")); s.pump() }},
		{"none", in(func(c *Client) { c.AuthNone("u") })},
		{"query", in(func(c *Client) { c.QueryPublicKey("u", "alg", []byte("key")) })},
		{"pubkey", in(func(c *Client) { c.AuthPublicKey("u", "alg", []byte("key"), []byte("sig")) })},
		{"passwd", in(func(c *Client) { c.AuthPassword("u", []byte("secret")) })},
		{"interact", interactive},
		{"prompted", func(s *scripted) { interactive(s); s.send(prompts(1)); s.deliver() }},
		{"failed", func(s *scripted) {
			in(func(c *Client) { c.AuthNone("u") })(s)
			s.send(failure(false, "publickey"))
			s.deliver()
		}},
		{"authrekey", func(s *scripted) {
			in(func(c *Client) { c.AuthPassword("u", []byte("secret")) })(s)
			s.sendKexInit()
			s.deliver()
		}},
		{"success", func(s *scripted) { quick(s); s.login() }},
		{"alive", func(s *scripted) { quick(s); s.login(); s.client.Keepalive(); s.pump() }},
		{"opening", func(s *scripted) { quick(s); s.login(); s.client.OpenSession(); s.pump() }},
		{"exec", func(s *scripted) { quick(s); s.login(); s.client.Exec(s.opened(7, 1<<20), "true"); s.pump() }},
		{"running", func(s *scripted) { quick(s); s.login(); s.running() }},
		{"status", func(s *scripted) { quick(s); s.login(); s.send(exitStatus(s.running(), 0)); s.deliver() }},
		{"eof", func(s *scripted) { quick(s); s.login(); s.send(about(msgChannelEOF, s.running())); s.deliver() }},
		{"closing", func(s *scripted) { quick(s); s.login(); s.client.CloseChannel(s.running()); s.pump() }},
		{"closed", func(s *scripted) { quick(s); s.login(); s.send(about(msgChannelClose, s.running())); s.deliver() }},
		{"ourrekey", func(s *scripted) { quick(s); s.login(); s.running(); s.client.startKex(); s.pump() }},
		{"rekey", func(s *scripted) { quick(s); s.login(); s.running(); s.sendKexInit(); s.deliver() }},
		{"rekeyed", func(s *scripted) {
			quick(s)
			s.login()
			s.running()
			s.sendKexInit()
			s.deliver()
			s.send(s.reply())
			s.deliver()
		}},
	}
}

// quick is for phases after the handshake, which has tests of its own.
func quick(s *scripted) { s.secure(direction{cipher: gcm128}) }

func toKexInit(s *scripted) {
	s.pump()
	s.sendVersion()
	s.sendKexInit()
	s.deliver()
}

func prompts(n int) []byte {
	p := appendString(appendString(appendString([]byte{msgUserAuthMethod}, "name"), "do"), "")
	p = appendUint32(p, uint32(n))
	for range n {
		p = appendBool(appendString(p, "Password: "), false)
	}
	return p
}

// A sample is a message, the rows of testdata/messages.txt. What it says of a
// channel is about channel 0.
type sample struct {
	name string
	make func(s *scripted) []byte
}

func samples() []sample {
	fixed := func(name string, p []byte) sample {
		return sample{name, func(*scripted) []byte { return p }}
	}
	all := []sample{
		fixed("DISCONNECT", disconnect(11, "bye")),
		fixed("IGNORE", appendString([]byte{msgIgnore}, "x")),
		fixed("UNIMPLEMENTED", unimplemented(99)),
		fixed("DEBUG", appendString(appendString([]byte{msgDebug, 1}, "x"), "")),
		fixed("SERVICE_REQUEST", appendString([]byte{msgServiceRequest}, serviceAuth)),
		fixed("SERVICE_ACCEPT", serviceAccept()),
		fixed("EXT_INFO", extInfo("server-sig-algs", "ssh-ed25519")),
		{"KEXINIT", func(s *scripted) []byte { s.initRaw = s.init.append(nil); return s.initRaw }},
		fixed("NEWKEYS", []byte{msgNewKeys}),
		fixed("KEX_INIT", appendString([]byte{msgKexInitMethod}, strings.Repeat("k", 32))),
		{"KEX_REPLY", (*scripted).anyReply},
		fixed("USERAUTH_REQUEST", authRequest("u", "none")),
		fixed("USERAUTH_FAILURE", failure(false, "publickey", "password")),
		fixed("USERAUTH_SUCCESS", []byte{msgUserAuthSuccess}),
		fixed("USERAUTH_BANNER", banner("hello")),
		fixed("PK_OK", appendString(appendString([]byte{msgUserAuthMethod}, "alg"), "key")),
		fixed("PK_OK_OTHER", appendString(appendString([]byte{msgUserAuthMethod}, "alg"), "kex")),
		fixed("INFO_REQUEST", prompts(1)),
		fixed("INFO_RESPONSE", appendUint32([]byte{msgUserAuthAnswer}, 0)),
		fixed("GLOBAL_REQUEST", globalRequest("hostkeys-00@openssh.com", false)),
		fixed("GLOBAL_REQUEST_R", globalRequest("keepalive@openssh.com", true)),
		fixed("REQUEST_SUCCESS", []byte{msgRequestSuccess}),
		fixed("REQUEST_FAILURE", []byte{msgRequestFailure}),
		fixed("CHANNEL_OPEN", channelOpen("auth-agent@openssh.com", 0)),
		fixed("OPEN_CONFIRM", confirm(0, 7, 1<<20)),
		fixed("OPEN_FAILURE", refusal(0, 2, "no")),
		fixed("WINDOW_ADJUST", adjust(0, 4096)),
		fixed("WINDOW_OVER", adjust(0, 1<<32-1)),
		fixed("DATA", data(0, "out")),
		fixed("DATA_EMPTY", data(0, "")),
		fixed("DATA_LONG", data(0, strings.Repeat("x", MaxData+1))),
		fixed("EXTENDED_DATA", stderrData(0, 1, "err")),
		fixed("EXTENDED_DATA_2", stderrData(0, 2, "err")),
		fixed("EOF", about(msgChannelEOF, 0)),
		fixed("CLOSE", about(msgChannelClose, 0)),
		fixed("EXIT_STATUS", exitStatus(0, 3)),
		fixed("EXIT_STATUS_SHORT", channelRequest(0, "exit-status", false, 0, 0, 3)),
		fixed("EXIT_SIGNAL", channelRequest(0, "exit-signal", false, ssh2Signal("TERM", false, "x")...)),
		fixed("REQUEST", channelRequest(0, "keepalive@openssh.com", true)),
		fixed("CHANNEL_SUCCESS", about(msgChannelSuccess, 0)),
		fixed("CHANNEL_FAILURE", about(msgChannelFailure, 0)),
		fixed("DATA_CHANNEL_1", data(1, "out")),
		fixed("ADJUST_CHANNEL_1", adjust(1, 4096)),
		fixed("CLOSE_CHANNEL_1", about(msgChannelClose, 1)),
		fixed("PING", appendString([]byte{msgPing}, "x")),
		fixed("PONG", appendString([]byte{msgPong}, "x")),
	}
	for _, s := range all { // the same, cut or one byte too long
		switch s.name {
		case "IGNORE", "DEBUG", "SERVICE_REQUEST", "KEX_INIT", "USERAUTH_REQUEST", "INFO_RESPONSE", "PONG",
			"PK_OK_OTHER", "WINDOW_OVER", "DATA_EMPTY", "DATA_LONG", "EXTENDED_DATA_2", "EXIT_STATUS_SHORT",
			"GLOBAL_REQUEST", "REQUEST_SUCCESS", "REQUEST_FAILURE", "DATA_CHANNEL_1", "ADJUST_CHANNEL_1", "CLOSE_CHANNEL_1":
			continue // nobody reads their bodies, or another row has the same form
		case "NEWKEYS", "USERAUTH_SUCCESS":
			all = append(all, fixed(s.name+"~", append(s.make(nil), 0)))
		case "KEXINIT", "KEX_REPLY":
			all = append(all, sample{s.name + "~", func(sc *scripted) []byte { p := s.make(sc); return p[:len(p)-1] }})
		default:
			p := s.make(nil)
			all = append(all, fixed(s.name+"~", p[:max(1, len(p)-5)]))
		}
	}
	for _, n := range []byte{0, 8, 9, 19, 22, 29, 32, 49, 54, 59, 62, 79, 83, 89, 101, 127, 128, 191, 194, 255} {
		all = append(all, fixed(fmt.Sprintf("number %d", n), append([]byte{n}, make([]byte, 8)...)))
	}
	return all
}

// anyReply is the right KEX_REPLY where one is due, and one that can be read
// elsewhere.
func (s *scripted) anyReply() []byte {
	if s.initRaw != nil && s.clientRaw != nil && s.last(msgKexInitMethod) != nil {
		return s.reply()
	}
	return appendString(appendString(appendString([]byte{msgKexReplyMethod}, "a"), "b"), "c")
}

func ssh2Signal(name string, core bool, text string) []byte {
	return appendString(appendString(appendBool(appendString(nil, name), core), text), "")
}

// outcome is what a message came to, in the words of testdata/messages.txt.
func (s *scripted) outcome(events []Event, got [][]byte) string {
	var words []string
	for _, ev := range events {
		name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", ev), "wire."))
		words = append(words, strings.NewReplacer("channel", "", "request", "", "auth", "", "exit", "", "publickey", "key",
			"password", "", "received", "").Replace(name))
	}
	if s.err != nil {
		kinds := map[Kind]string{
			KindProtocol: "P", KindNotSSH: "N", KindAbuse: "A", KindHostKey: "H",
			KindHostKeyChanged: "C", KindIntegrity: "I", KindDisconnect: "D",
		}
		return strings.Join(append(words, kinds[kindOf(s.err)]), "+")
	}
	for _, p := range got {
		switch p[0] {
		case msgUnimplemented:
			words = append(words, "U")
		case msgRequestFailure, msgChannelOpenFailure, msgChannelFailure:
			words = append(words, "R")
		case msgPong:
			words = append(words, "pong")
		case msgKexInit, msgKexInitMethod, msgNewKeys:
			words = append(words, "k")
		case msgChannelClose:
			words = append(words, "c")
		default:
			words = append(words, messageName(p[0]))
		}
	}
	if words = slices.Compact(words); len(words) == 0 {
		return "."
	}
	return strings.Join(words, "+")
}

// TestS20EveryMessageInEveryPhase sends every message, whole and malformed, in
// every phase.
// faults.md: S20
func TestS20EveryMessageInEveryPhase(t *testing.T) {
	const golden = "testdata/messages.txt"
	var table [][]string
	names := []string{"message"}
	for _, p := range phases() {
		names = append(names, p.name)
	}
	table = append(table, names)
	for _, m := range samples() {
		row := []string{strings.ReplaceAll(m.name, " ", "_")}
		for _, p := range phases() {
			s := newScripted(t, Config{})
			p.reach(s)
			s.healthy()
			sent := len(s.got)
			s.send(m.make(s))
			events := s.deliver()
			row = append(row, s.outcome(events, s.got[sent:]))
			s.checkEnd(m.name + " in phase " + p.name)
		}
		table = append(table, row)
	}
	got := format(table)
	if *update {
		head, _, _ := strings.Cut(readFile(t, golden), "\nmessage ")
		if err := os.WriteFile(golden, []byte(head+"\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, table, readFile(t, golden))
}

// checkEnd checks that an end is told to the server, stays, and takes nothing
// more.
func (s *scripted) checkEnd(where string) {
	s.tb.Helper()
	if s.err == nil {
		return
	}
	kind := kindOf(s.err)
	told := len(s.got) > 0 && s.got[len(s.got)-1][0] == msgDisconnect
	if told != (kind != KindDisconnect && kind != KindNotSSH) {
		s.tb.Errorf("%s: the server is told of the end: %t", where, told)
	}
	s.client.Receive([]byte("more"))
	if ev, err := s.client.Next(); ev != nil || !errors.Is(err, s.err) {
		s.tb.Errorf("%s: after the end: %v, %v", where, ev, err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	return string(p)
}

// format sets a table with aligned columns.
func format(table [][]string) string {
	width := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	var b bytes.Buffer
	for _, row := range table {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s ", width[i], cell)
		}
		fmt.Fprintln(&b, strings.TrimRight(line.String(), " "))
	}
	return b.String()
}

// compare names each cell that differs.
func compare(t *testing.T, table [][]string, golden string) {
	t.Helper()
	i, cases := 0, 0
	for in := bufio.NewScanner(strings.NewReader(golden)); in.Scan(); {
		line := in.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		want := strings.Fields(line)
		if i >= len(table) || len(want) != len(table[i]) {
			t.Fatalf("row %d of the table is %q, the test has other cells", i, line)
		}
		for j, cell := range table[i] {
			if cases++; cell != want[j] {
				t.Errorf("%s in phase %s: %s, want %s", want[0], table[0][j], cell, want[j])
			}
		}
		i++
	}
	if i != len(table) {
		t.Errorf("the table has %d rows, the test %d", i, len(table))
	}
	if cases < 540 {
		t.Errorf("only %d cases", cases)
	}
}
