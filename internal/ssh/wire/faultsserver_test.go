package wire

import (
	"errors"
	"slices"
	"testing"
)

// What a client says is cut after each byte, or has one bit flipped in each byte. The server runs
// the command that was sent or none, and the client has an answer only if it ran.
// faults.md: K02
func TestServerCutAndFlippedEverywhere(t *testing.T) {
	const command = "the command"
	key := testKey(t)
	dialogue := func(spoil func([]byte) []byte) (ran []string, told *commanded, err error) {
		config := Config{Kex: []string{kexCurve25519}}
		p := newDialogue(t, config, config)
		p.spoil = spoil
		p.echoing(key.PublicKey())
		told = p.commanding(command, key)
		echo := p.onServer
		p.onServer = func(ev Event) {
			if r, ok := ev.(ChannelRequest); ok && r.Kind == KindExec {
				ran = append(ran, string(r.Payload[4:]))
			}
			echo(ev)
		}
		p.run()
		return ran, told, p.serverErr
	}
	whole := 0
	ran, told, err := dialogue(func(up []byte) []byte { whole += len(up); return up })
	if err != nil || !slices.Equal(ran, []string{command}) || told.status != 3 {
		t.Fatal(ran, told, err)
	}
	ranCut, ranFlipped, ended := 0, 0, 0
	for at := range whole {
		passed := 0
		cut := func(up []byte) []byte {
			keep := min(max(at-passed, 0), len(up))
			passed += len(up)
			return up[:keep]
		}
		flip := func(up []byte) []byte {
			if i := at - passed; i >= 0 && i < len(up) {
				up[i] ^= 1 << (at % 8)
			}
			passed += len(up)
			return up
		}
		for name, spoil := range map[string]func([]byte) []byte{"cut": cut, "flipped": flip} {
			passed = 0
			ran, told, err := dialogue(spoil)
			if len(ran) > 1 || len(ran) == 1 && ran[0] != command {
				t.Fatalf("%s at byte %d of %d: it ran %q", name, at, whole, ran)
			}
			if len(ran) == 0 && (told.stdout != "" || told.closed) {
				t.Fatalf("%s at byte %d of %d: nothing ran, and the client was told %+v", name, at, whole, *told)
			}
			if err != nil {
				ended++
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("%s at byte %d of %d: the end is %v", name, at, whole, err)
				}
			}
			if len(ran) == 1 && name == "cut" {
				ranCut++
			} else if len(ran) == 1 {
				ranFlipped++
			}
		}
	}
	t.Logf("of %d bytes: it ran %d times before a cut, %d times with a bit flipped, and the server ended %d times", whole, ranCut, ranFlipped, ended)
	if ended < whole/4 || ranCut == 0 {
		t.Error("the suite is hollow")
	}
}

// Each message, whole and malformed, comes in each phase of a server. It takes it, answers that it
// does not, or ends; it runs nothing before somebody is in, and holds no more than its bounds.
// faults.md: S20
func TestServerEveryMessageInEveryPhase(t *testing.T) {
	service := appendString([]byte{msgServiceRequest}, serviceAuth)
	password := appendString(appendBool(authRequest("u", MethodPassword), false), "secret")
	none := authRequest("u", MethodNone)
	open := channelOpen("session", 5)
	exec := channelRequest(0, KindExec, true, appendString(nil, "true")...)
	ended := 0
	for phase, before := range map[string][][]byte{
		"keys":             nil,
		"service":          {service},
		"a refused login":  {service, none},
		"logged in":        {service, password},
		"a channel":        {service, password, open},
		"a command":        {service, password, open, exec},
		"EOF":              {service, password, open, exec, about(msgChannelEOF, 0)},
		"a closed channel": {service, password, open, exec, about(msgChannelClose, 0)},
	} {
		for _, m := range samples() {
			h := secureServer(t, Config{Window: 1000})
			for _, p := range before {
				h.send(p)
			}
			if h.err != nil {
				t.Fatalf("phase %s: %v", phase, h.err)
			}
			execs := h.execs
			h.send(m.make(newScripted(t, Config{}))) // checks the server
			if h.err != nil {
				ended++
			} else if h.send([]byte{msgIgnore, 0, 0, 0, 0}); h.err != nil {
				t.Errorf("%s in phase %s: then it ends at IGNORE: %v", m.name, phase, h.err)
			}
			if h.execs > execs && (execs > 0 || phase != "a channel") {
				t.Errorf("%s in phase %s ran something", m.name, phase)
			}
		}
	}
	if ended == 0 {
		t.Error("nothing ended the server")
	}
}
