package wire

// Request kinds of channels (RFC 4254 §6.5).
const (
	KindExec      = "exec"
	KindShell     = "shell"
	KindSubsystem = "subsystem"
)

// takeOpen processes CHANNEL_OPEN (RFC 4254 §5.1).
func (s *Server) takeOpen(p []byte) (Event, error) {
	r := read(p[1:])
	kind := string(r.string())
	sender, window, maxData := r.uint32(), r.uint32(), r.uint32()
	switch {
	case r.bad || maxData == 0:
		return nil, malformed(msgChannelOpen, "RFC 4254 §5.1")
	case s.mux.theirs == MaxServerChannels:
		return nil, s.refuseChannel(sender, openShortage, "too many at once")
	}
	ch := s.mux.accept(s.config.window(), sender, window, maxData)
	return ChannelRequested{Channel: ch.number, Kind: kind, Extra: r.rest}, nil
}

// Confirm opens a channel that the client has requested (RFC 4254 §5.1).
func (s *Server) Confirm(n Channel) { s.send(s.mux.confirm(s.requested(n))) }

// Refuse does not open a channel that the client has requested. Its number is free again.
func (s *Server) Refuse(n Channel, code uint32, text string) {
	ch := s.requested(n)
	p := appendUint32(appendUint32(message(msgChannelOpenFailure), ch.remote), code)
	p = appendString(appendString(p, text), "")
	s.mux.remove(n)
	s.send(p)
}

func (s *Server) requested(n Channel) *channel {
	ch := s.mux.use(n)
	if !ch.theirs || ch.opened {
		panic("wire: an answer without a ChannelRequested")
	}
	return ch
}

// takeRequest processes CHANNEL_REQUEST (RFC 4254 §5.4).
func (s *Server) takeRequest(ch *channel, r *reader) (Event, error) {
	kind, wantReply := r.string(), r.bool()
	if r.bad {
		return nil, malformed(msgChannelRequest, "RFC 4254 §5.4")
	}
	ev := ChannelRequest{ch.number, string(kind), wantReply, r.rest}
	switch ev.Kind {
	case KindExec, KindShell, KindSubsystem: // one for each channel, or the driver refuses it
	default:
		if err := s.useless(msgChannelRequest); err != nil {
			return nil, err
		}
	}
	if ch.closing {
		return nil, nil
	}
	return ev, nil
}

// Reply answers a ChannelRequest that wants it. Answers must be in the order of the requests (RFC
// 4254 §5.4).
func (s *Server) Reply(n Channel, ok bool) {
	ch := s.mux.use(n)
	if ch.closing || s.err != nil {
		return
	}
	number := byte(msgChannelFailure)
	if ok {
		number = msgChannelSuccess
	}
	p := s.mux.to(ch, number)
	if err := s.out.owe(len(p)); err != nil {
		s.end(err)
		return
	}
	s.send(p)
}

// SendStderr is Send for standard error (SSH_EXTENDED_DATA_STDERR).
func (s *Server) SendStderr(n Channel, p []byte) int { return s.sendData(n, p, true) }

// Room returns how many bytes Send would take now; Window does not know of key exchanges.
func (s *Server) Room(n Channel) int {
	room := int(s.mux.use(n).canSend())
	if s.out.held != nil || s.needsRekey() {
		return 0
	}
	if left := s.config.rekeyBytes() - s.out.bytes; uint64(room) > left/2 {
		room = int(left / 2) // packets are longer than their data, but not twice as long
	}
	return room
}

// Tell sends a request about a channel that wants no answer (RFC 4254 §5.4), such as exit-status.
func (s *Server) Tell(n Channel, kind string, payload []byte) {
	ch := s.mux.use(n)
	if ch.closing {
		return
	}
	p := appendBool(appendString(s.mux.to(ch, msgChannelRequest), kind), false)
	s.send(append(p, payload...))
}

// SendExitStatus tells how the command ended (RFC 4254 §6.10).
func (s *Server) SendExitStatus(n Channel, status uint32) {
	s.Tell(n, "exit-status", appendUint32(nil, status))
}

// OpenChannel opens a channel to the client (RFC 4254 §5.1); ChannelOpened or ChannelRefused
// follows.
func (s *Server) OpenChannel(kind string, extra []byte) Channel {
	if s.auth != nil {
		panic("wire: a channel before authentication has succeeded")
	}
	return s.open(kind, extra)
}

// TellAll sends a global request that wants no answer (RFC 4254 §4).
func (s *Server) TellAll(kind string, payload []byte) {
	p := appendBool(appendString(message(msgGlobalRequest), kind), false)
	s.send(append(p, payload...))
}
