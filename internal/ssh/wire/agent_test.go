package wire

import (
	"bytes"
	"testing"
)

// confirmed returns the number that the client gave the last channel which it has accepted.
func (s *scripted) confirmed() (n, window uint32) {
	s.tb.Helper()
	p := s.last(msgChannelOpenConfirm)
	if p == nil {
		s.tb.Fatal("no channel was accepted")
	}
	r := read(p[1:])
	_ = r.uint32()
	return r.uint32(), r.uint32()
}

// Channels to an agent are accepted once the server has granted it, up to the limit, and until it
// is withdrawn.
// faults.md: A13
func TestAgentChannels(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 1<<20)
	open := func(sender uint32) { s.send(channelOpen("auth-agent@openssh.com", sender)); s.deliver() }
	refused := func(code uint32, text string, sender uint32) {
		t.Helper()
		if got, want := s.last(msgChannelOpenFailure), refusal(Channel(sender), code, text); !bytes.Equal(got, want) {
			t.Errorf("answered %x, want %x", got, want)
		}
	}
	open(1)
	refused(openProhibited, "not offered", 1)
	s.client.ForwardAgent(ch)
	s.pump()
	open(2) // before the answer
	refused(openProhibited, "not offered", 2)
	s.send(appendUint32([]byte{msgChannelSuccess}, uint32(ch)))
	s.deliver()
	s.has(RequestAnswered{ch, RequestAgent, true})
	for i := range uint32(MaxAgentChannels) {
		open(10 + i)
	}
	n, window := s.confirmed()
	if window != AgentWindow {
		t.Errorf("the window is %d, want %d", window, AgentWindow)
	}
	s.has(AgentOpened{Channel(n)})
	open(3)
	refused(openShortage, "too many at once", 3)
	s.client.CloseChannel(Channel(n))
	s.pump()
	s.send(appendUint32([]byte{msgChannelClose}, n))
	s.deliver()
	s.has(Closed{Channel(n)})
	open(4)
	if again, _ := s.confirmed(); again != n {
		t.Errorf("channel %d, want %d, which is free again", again, n)
	}
	s.client.WithdrawAgent()
	open(5)
	refused(openProhibited, "not offered", 5)
	s.healthy()
}

// A server that refuses the agent may open no channel to it.
func TestAgentRefused(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 1<<20)
	s.client.ForwardAgent(ch)
	s.pump()
	s.send(appendUint32([]byte{msgChannelFailure}, uint32(ch)))
	s.deliver()
	s.has(RequestAnswered{ch, RequestAgent, false})
	s.send(channelOpen("auth-agent@openssh.com", 1))
	s.deliver()
	if got, want := s.last(msgChannelOpenFailure), refusal(1, openProhibited, "not offered"); !bytes.Equal(got, want) {
		t.Errorf("answered %x, want %x", got, want)
	}
}

// A channel to the agent that takes only small messages is refused: each byte of an answer would
// be a packet in our memory.
func TestAgentChannelOfSmallMessages(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 1<<20)
	s.client.ForwardAgent(ch)
	s.pump()
	s.send(appendUint32([]byte{msgChannelSuccess}, uint32(ch)))
	s.deliver()
	open := func(sender, maxData uint32) {
		p := appendUint32(appendString([]byte{msgChannelOpen}, agentChannel), sender)
		s.send(appendUint32(appendUint32(p, 1<<20), maxData))
		s.deliver()
	}
	open(8, minAgentData-1)
	if got, want := s.last(msgChannelOpenFailure), refusal(8, openShortage, "messages too small"); !bytes.Equal(got, want) {
		t.Errorf("answered %x, want %x", got, want)
	}
	open(9, minAgentData)
	n, _ := s.confirmed()
	s.has(AgentOpened{Channel(n)})
	s.healthy()
}
