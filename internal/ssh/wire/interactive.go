package wire

// Keyboard-interactive authentication (RFC 4256).

// AuthInteractive begins keyboard-interactive authentication (RFC 4256 §3.1);
// Prompts, AuthFailure or AuthSuccess follows.
func (c *Client) AuthInteractive(user string) {
	c.beginAuth(methodInteractive)
	p := authRequest(user, "keyboard-interactive")
	c.send(appendString(appendString(p, ""), ""))
}

// Answer answers Prompts, in their order (RFC 4256 §3.4). It panics if there are no Prompts
// to answer, as after an AuthFailure, or if the number of answers is not that of the prompts.
func (c *Client) Answer(answers [][]byte) {
	switch {
	case c.auth == nil || !c.auth.asking:
		panic("wire: an answer that nobody asked for")
	case len(answers) != c.auth.prompts:
		panic("wire: another number of answers than of prompts")
	}
	c.auth.asking = false
	size := 1 + 4
	for _, a := range answers {
		size += 4 + len(a)
	}
	p := append(make([]byte, 0, size), msgUserAuthAnswer)
	p = appendUint32(p, uint32(len(answers)))
	for _, a := range answers {
		p = appendString(p, a)
	}
	c.send(p)
	clear(p)
}

// Abandon leaves Prompts without an answer: the next request replaces this one (RFC 4252 §5).
// It panics if there are no Prompts to answer.
func (c *Client) Abandon() {
	if c.auth == nil || !c.auth.asking {
		panic("wire: no prompts to abandon")
	}
	c.auth.asking, c.auth.rounds, c.auth.pending = false, 0, methodNone
}

// takePrompts reads an INFO_REQUEST (RFC 4256 §3.2).
func (a *authentication) takePrompts(p []byte) (Event, error) {
	if a.asking {
		return nil, unexpected(msgUserAuthMethod, "before the last one was answered", "RFC 4256 §3.2")
	}
	r := read(p[1:])
	ev := Prompts{Name: r.string(), Instruction: r.string()}
	_ = r.string() // language
	n := r.uint32()
	a.rounds++
	if n > MaxPrompts || a.rounds > MaxPromptRounds {
		return nil, fail(KindAbuse, "RFC 4256 §3.2", "prompts without end: %d in round %d", n, a.rounds)
	}
	for range n {
		ev.Prompts = append(ev.Prompts, Prompt{r.string(), r.bool()})
	}
	if !r.done() {
		return nil, malformed(msgUserAuthMethod, "RFC 4256 §3.2")
	}
	a.asking, a.prompts = true, len(ev.Prompts)
	return ev, nil
}
