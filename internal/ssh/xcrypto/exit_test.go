package xcrypto

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// faults.md: S14
func TestParseExit(t *testing.T) {
	signal := func(name string) []byte {
		return ssh.Marshal(struct {
			Signal   string
			Core     bool
			Message  string
			Language string
		}{name, true, strings.Repeat("m", 1<<20), "en"})
	}
	for name, c := range map[string]struct {
		kind    string
		payload []byte
		want    exit
		outcome fleet.Outcome
	}{
		"zero":         {"exit-status", []byte{0, 0, 0, 0}, exit{known: true}, fleet.OutcomeOK},
		"three":        {"exit-status", []byte{0, 0, 0, 3}, exit{known: true, status: 3}, fleet.OutcomeFailed},
		"windows":      {"exit-status", []byte{0xc0, 0, 0, 5}, exit{known: true, status: 0xc0000005}, fleet.OutcomeFailed},
		"term":         {"exit-signal", signal("TERM"), exit{known: true, signal: "TERM"}, fleet.OutcomeSignalled},
		"no name":      {"exit-signal", signal(""), exit{known: true, signal: "unnamed"}, fleet.OutcomeSignalled},
		"endless name": {"exit-signal", signal(strings.Repeat("X", 1000)), exit{known: true, signal: strings.Repeat("X", 64)}, fleet.OutcomeSignalled},
	} {
		got, ok := parseExit(c.kind, c.payload)
		if !ok || got != c.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, ok, c.want)
		}
		if end := got.end(fleet.PhaseDrain, true); end.Outcome != c.outcome || end.Flags != fleet.FlagExitKnown {
			t.Errorf("%s: end %+v, want %v with exit_known alone", name, end, c.outcome)
		}
	}
	for name, c := range map[string]struct {
		kind    string
		payload []byte
	}{
		"truncated status": {"exit-status", []byte{0, 0}},
		"empty status":     {"exit-status", nil},
		"long status":      {"exit-status", make([]byte, 5)},
		"truncated signal": {"exit-signal", signal("TERM")[:6]},
	} {
		if got, ok := parseExit(c.kind, c.payload); !ok || got.known || got.err == nil {
			t.Errorf("%s: %+v %v, want an error and nothing known", name, got, ok)
		}
	}
	if _, ok := parseExit("keepalive@openssh.com", nil); ok {
		t.Error("another request was taken for an exit")
	}
}
