package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A lack of file descriptors in our process is waited out and not blamed on the agent.
func TestOurOwnWantIsNotTheAgents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		passes bool
		reason fleet.Reason
	}{
		{syscall.EMFILE, true, fleet.ReasonLocalFiles},
		{syscall.ENFILE, true, fleet.ReasonLocalFiles},
		{syscall.EAGAIN, true, fleet.ReasonAgentUnavailable},
		{syscall.ENOBUFS, true, fleet.ReasonAgentUnavailable},
		{syscall.ECONNREFUSED, false, fleet.ReasonAgentUnavailable},
		{syscall.ENOENT, false, fleet.ReasonAgentUnavailable},
	} {
		err := fmt.Errorf("dialling: %w", c.err)
		if passes(err) != c.passes || agentReason(err) != c.reason {
			t.Errorf("%v: passes %v, reason %q; want %v, %q", c.err, passes(err), agentReason(err), c.passes, c.reason)
		}
	}
}

// answerTo returns a correct reply to a signature request; if data is not "", it signs data
// instead of the requested text.
func answerTo(t testing.TB, signer ssh.Signer, request, data string) string {
	t.Helper()
	var r signRequest
	if err := ssh.Unmarshal([]byte(request), &r); err != nil {
		t.Error(err)
		return "\x05"
	}
	if data == "" {
		data = string(r.Data)
	}
	signature, err := signer.Sign(rand.Reader, []byte(data))
	if err != nil {
		t.Error(err)
	}
	return string(ssh.Marshal(signResponse{ssh.Marshal(signature)}))
}

// An agent that is one answer ahead returns wrong signatures for ever. The first one costs its
// request and the connection; a new connection works.
func TestAWrongAnswerCostsTheConnection(t *testing.T) {
	t.Parallel()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		wrong func(request string) string
		text  string
	}{
		"another's":    {func(r string) string { return answerTo(t, signer, r, "other data") }, "the agent's signature is wrong"},
		"another type": {func(string) string { return "\x0c\x00\x00\x00\x00" }, "the agent answers with message 12, want 14"},
		"cut short":    {func(r string) string { return answerTo(t, signer, r, "")[:20] }, "reading the agent's answer"},
		"too long":     {func(r string) string { return answerTo(t, signer, r, "") + "x" }, "reading the agent's answer"},
		"trailing": {func(string) string {
			return string(ssh.Marshal(signResponse{ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519, Rest: []byte("x")})}))
		}, "1 bytes follow the agent's signature"},
	} {
		l, conns := newTestLink(t, time.Minute, func(p *peer) {
			for text := p.read(); text != ""; text = p.read() {
				if p.number == 1 {
					p.write(c.wrong(text))
				} else {
					p.write(answerTo(t, signer, text, ""))
				}
			}
		})
		k := &agentKey{link: l, public: signer.PublicKey(), blob: string(signer.PublicKey().Marshal())}
		if _, err := k.sign(t.Context(), []byte("data"), ssh.KeyAlgoED25519); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", name, err, c.text)
		}
		// The connection is replaced at once or while the next request waits.
		signature, err := k.sign(t.Context(), []byte("data"), ssh.KeyAlgoED25519)
		if err != nil || signer.PublicKey().Verify([]byte("data"), signature) != nil {
			t.Errorf("%s: the next one: %v", name, err)
		}
		if conns.Load() != 2 {
			t.Errorf("%s: %d connections, want 2", name, conns.Load())
		}
	}
}
