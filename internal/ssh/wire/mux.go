package wire

import "slices"

// A mux holds the channels of a connection.
type mux struct {
	channels []*channel // by our number; nil means that it is closed
	free     []Channel  // the free numbers below len(channels)
	single   channel    // memory for the one channel that most connections have
	opens    int32      // CHANNEL_OPENs that the server has to answer, and open channels
	pings    int32      // unanswered Keepalives
	blocked  int16      // channels waiting for the end of a key exchange to send
	theirs   int8       // channels that the peer has opened
	agent    bool       // a server may open channels to the agent
	// next is the number at the server of a channel that is opened while there is no
	// other: 0 for the first one, then that of the channel before, since servers take the
	// lowest number that is free. guess is such a channel, until the server answers.
	next   uint32
	unsure bool // next is higher than the number before, which the server was late to free
	guess  *channel
	early  earlyOpens
}

// add creates a channel with a free number.
func (m *mux) add(window uint32) *channel {
	ch := m.create(window)
	if m.opens == 0 {
		m.guess = ch
	}
	m.opens++
	return ch
}

// accept creates a channel that the peer opens with its number remote and its window. ours is
// the window that it gets.
func (m *mux) accept(ours, remote, window, maxData uint32) *channel {
	ch := m.create(ours)
	ch.theirs, ch.remote, ch.sendLeft, ch.maxData = true, remote, window, min(maxData, MaxData)
	m.theirs++
	m.opens++
	return ch
}

func (m *mux) create(window uint32) *channel {
	ch := &m.single
	if ch.used {
		ch = &channel{}
	}
	*ch = channel{used: true, window: window, recvLeft: window}
	if len(m.free) > 0 { // the lowest one, as clients expect of servers
		i := slices.Index(m.free, slices.Min(m.free))
		ch.number = m.free[i]
		m.free = slices.Delete(m.free, i, i+1)
		m.channels[ch.number] = ch
	} else {
		ch.number = Channel(len(m.channels))
		m.channels = append(m.channels, ch)
	}
	return ch
}

func (m *mux) find(n Channel) *channel {
	if uint64(n) >= uint64(len(m.channels)) {
		return nil
	}
	return m.channels[n]
}

// past reports whether n was the number of a channel that is closed now.
func (m *mux) past(n Channel) bool {
	return uint64(n) < uint64(len(m.channels)) && m.channels[n] == nil
}

// use returns an open channel for the driver, and panics if n is none.
func (m *mux) use(n Channel) *channel {
	ch := m.find(n)
	if ch == nil {
		panic("wire: a channel that is not open")
	}
	return ch
}

func (m *mux) remove(n Channel) {
	m.retire(n)
	m.free = append(m.free, n)
}

// retire removes a channel whose number is not used again.
func (m *mux) retire(n Channel) {
	ch := m.channels[n]
	m.release(ch)
	if ch.theirs {
		m.theirs--
	}
	ch.used, ch.questions = false, nil
	if m.guess == ch {
		m.guess = nil
	}
	if ch.opened && !ch.theirs {
		m.unsure, m.next = ch.remote > m.next, ch.remote
	}
	m.opens--
	m.channels[n] = nil
}

// answered records that the server has answered a CHANNEL_OPEN: later ones are not answered
// with UNIMPLEMENTED any more.
func (m *mux) answered(ch *channel) {
	m.early = nil
	if m.guess == ch {
		m.guess = nil
	}
}

// to returns the beginning of a message to the server's side of a channel.
func (m *mux) to(ch *channel, number byte) []byte {
	if ch.opened {
		return appendUint32(message(number), ch.remote)
	}
	if m.guess != ch {
		panic("wire: a message before ChannelOpened, on a channel that is not alone")
	}
	ch.guessed = true
	return appendUint32(message(number), m.next)
}

// confirm opens a channel that the peer has opened, and returns the message that says so.
func (m *mux) confirm(ch *channel) []byte {
	ch.opened = true
	p := appendUint32(m.to(ch, msgChannelOpenConfirm), uint32(ch.number))
	return appendUint32(appendUint32(p, ch.recvLeft), MaxData)
}

// block records a channel whose data waits for the end of a key exchange.
func (m *mux) block(ch *channel) {
	if !ch.blocked {
		ch.blocked = true
		m.blocked++
	}
}

// release undoes block.
func (m *mux) release(ch *channel) {
	if ch.blocked {
		ch.blocked = false
		m.blocked--
	}
}

// unblock releases and returns a blocked channel that can send again.
func (m *mux) unblock() (Channel, bool) {
	for n := 0; m.blocked > 0 && n < len(m.channels); n++ {
		if ch := m.channels[n]; ch != nil && ch.blocked {
			m.release(ch)
			if ch.sendLeft > 0 && ch.sends() {
				return ch.number, true
			}
		}
	}
	return 0, false
}

// An earlyOpen is a CHANNEL_OPEN sent before authentication has succeeded. A server that does
// not accept it yet answers UNIMPLEMENTED with its sequence number (RFC 4253 §11.4).
type earlyOpen struct {
	channel Channel
	seq     uint32
	held    int  // 1 + its index in outbound.held while it waits there
	old     bool // sent before our last NEWKEYS
}

type earlyOpens []earlyOpen

// refused removes and returns the oldest one with this sequence number.
func (e *earlyOpens) refused(seq uint32) (Channel, bool) {
	i := slices.IndexFunc(*e, func(o earlyOpen) bool { return o.held == 0 && o.seq == seq })
	if i < 0 {
		return 0, false
	}
	n := (*e)[i].channel
	if *e = slices.Delete(*e, i, i+1); len(*e) == 0 {
		*e = nil
	}
	return n, true
}

// age marks those that were sent before our NEWKEYS; it is called at NEWKEYS.
func (e earlyOpens) age() {
	for i := range e {
		e[i].old = e[i].held == 0
	}
}

// sealed records the sequence number of the message at an index of outbound.held.
func (e earlyOpens) sealed(place int, seq uint32) {
	for i := range e {
		if e[i].held == place+1 {
			e[i].held, e[i].seq = 0, seq
		}
	}
}

// renumber removes, at the server's NEWKEYS, those sent before our NEWKEYS: the server has
// answered all of them, and under strict key exchange their numbers are used again.
func (e *earlyOpens) renumber() {
	if *e = slices.DeleteFunc(*e, func(o earlyOpen) bool { return o.old }); len(*e) == 0 {
		*e = nil
	}
}
