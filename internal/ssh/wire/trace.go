package wire

import (
	"fmt"
	"strings"
)

// A Message describes one message for Config.Trace.
type Message struct {
	Out    bool   // sent by us
	Number byte   // RFC 4250 §4.1.2; 0 for the version line
	Name   string // such as "CHANNEL_DATA"; "VERSION" for the version line
	Size   int    // of the payload, in bytes
	// Request is the type of a CHANNEL_REQUEST, such as "exit-status"; "" for
	// all other messages. If Out is false it is untrusted text from the server.
	Request string
	// Detail describes the content in printable text. It holds no
	// secret: no password, answer, signature, command input or output.
	Detail string
}

// trace traces a message of payload and rest more bytes, which its description does without.
func (c *endpoint) trace(out bool, payload []byte, rest int) {
	if c.config.Trace != nil {
		c.config.Trace(Message{
			Out: out, Number: payload[0], Name: messageName(payload[0]), Size: len(payload) + rest,
			Request: requestOf(payload), Detail: detail(payload),
		})
	}
}

// traceVersion traces a version line.
func (c *endpoint) traceVersion(out bool, line string) {
	if c.config.Trace != nil {
		c.config.Trace(Message{Out: out, Name: "VERSION", Size: len(line), Detail: fmt.Sprintf("%.255q", line)})
	}
}

// requestOf returns the type of a CHANNEL_REQUEST (RFC 4254 §5.4).
func requestOf(p []byte) string {
	if p[0] != msgChannelRequest {
		return ""
	}
	r := read(p[1:])
	_ = r.uint32()
	return fmt.Sprintf("%.64s", r.string())
}

// detail returns Message.Detail of a payload.
func detail(p []byte) string {
	r := read(p[1:])
	switch p[0] {
	case msgDisconnect:
		code, text := r.uint32(), r.string()
		return fmt.Sprintf("code %d %.80q", code, text)
	case msgKexInit:
		k, err := parseKexInit(p, "peer")
		if err != nil {
			return "cannot be read"
		}
		return fmt.Sprintf("kex %.60q… host keys %.60q… ciphers %.60q…",
			strings.Join(k.kex, ","), strings.Join(k.hostKeys, ","), strings.Join(k.ciphersOut, ","))
	case msgServiceRequest, msgServiceAccept:
		return fmt.Sprintf("%.40q", r.string())
	case msgUserAuthRequest:
		user, _, method := r.string(), r.string(), r.string()
		text := fmt.Sprintf("user %.40q method %.40q", user, method)
		if string(method) == "publickey" {
			signed, algorithm := r.bool(), r.string()
			text += fmt.Sprintf(" algorithm %.60q signed %t", algorithm, signed)
		}
		return text
	case msgUserAuthFailure:
		return fmt.Sprintf("next %.80q", r.string())
	case msgUnimplemented:
		return fmt.Sprintf("sequence number %d", r.uint32())
	case msgGlobalRequest:
		return fmt.Sprintf("%.60q", r.string())
	case msgChannelOpen:
		kind, sender, window, maxData := r.string(), r.uint32(), r.uint32(), r.uint32()
		return fmt.Sprintf("%.40q sender %d window %d max %d", kind, sender, window, maxData)
	case msgChannelOpenConfirm:
		to, sender, window, maxData := r.uint32(), r.uint32(), r.uint32(), r.uint32()
		return fmt.Sprintf("channel %d sender %d window %d max %d", to, sender, window, maxData)
	case msgChannelWindowAdjust, msgChannelData:
		return fmt.Sprintf("channel %d, %d bytes", r.uint32(), r.uint32())
	case msgChannelExtendedData:
		return fmt.Sprintf("channel %d type %d, %d bytes", r.uint32(), r.uint32(), r.uint32())
	case msgChannelOpenFailure:
		return fmt.Sprintf("channel %d code %d %.80q", r.uint32(), r.uint32(), r.string())
	case msgChannelEOF, msgChannelClose, msgChannelSuccess, msgChannelFailure:
		return fmt.Sprintf("channel %d", r.uint32())
	case msgChannelRequest:
		channel, kind, reply := r.uint32(), r.string(), r.bool()
		text := fmt.Sprintf("channel %d %.40q reply %t", channel, kind, reply)
		if string(kind) == "exit-status" {
			text += fmt.Sprintf(" status %d", r.uint32())
		}
		return text
	}
	return ""
}
