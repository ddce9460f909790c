package sshreason

import (
	"testing"

	"shoal/fleet"
)

func TestGreeting(t *testing.T) {
	for in, want := range map[string]fleet.Reason{
		"":                                      fleet.ReasonNone,
		"Exceeded MaxStartups\r\n":              fleet.ReasonThrottled,
		"Not allowed at this time\r\n":          fleet.ReasonThrottled,
		"notice\nNot allowed at this time\r\n":  fleet.ReasonThrottled,
		"Not allowed at this time, or ever\r\n": fleet.ReasonProtocolError,
		"HTTP/1.1 400 Bad Request\r\n":          fleet.ReasonProtocolError,
		"220 mail ESMTP\r\n":                    fleet.ReasonProtocolError,
		"S":                                     fleet.ReasonNone,
		"SSH-2.0-slow":                          fleet.ReasonNone,
		"SX":                                    fleet.ReasonProtocolError,
	} {
		got, err, ok := Greeting([]byte(in))
		if got != want || ok != (want != fleet.ReasonNone) || ok != (err != nil) {
			t.Errorf("%q: reason %q, %v, %v; want %q", in, got, err, ok, want)
		}
	}
}
