package tcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// fakeDNS makes the process resolve names by a server on loopback until the test ends. The name's
// first label says what is wrong with it.
func fakeDNS(t *testing.T, addresses map[string][]string) {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := net.DefaultResolver
	// A look-up goes on after its caller has left, and must not read what the clean-up sets.
	dialer := net.Dialer{Resolver: new(net.Resolver)}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		// UDP also where TCP is wanted: an answer that is cut off remains so.
		return dialer.DialContext(ctx, "udp4", pc.LocalAddr().String())
	}}
	var serving sync.WaitGroup
	serving.Go(func() {
		var buf [1024]byte
		for {
			n, from, err := pc.ReadFrom(buf[:])
			if err != nil {
				return
			}
			for _, reply := range answerDNS(buf[:n], addresses) {
				_, _ = pc.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = pc.Close()
		serving.Wait()
	})
}

// answerDNS returns what is sent back to a query (RFC 1035 §4.1).
func answerDNS(query []byte, addresses map[string][]string) [][]byte {
	const header = 12
	var labels []string
	at := header
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	reply := append([]byte(nil), query[:at+5]...) // without the additional records
	flags := uint16(0x8180)                       // an answer, recursion available
	var records [][]byte
	name := strings.ToLower(strings.Join(labels, "."))
	switch labels[0] {
	case "silent":
		return nil
	case "nxdomain":
		flags |= 3
	case "servfail":
		flags |= 2
	case "cutoff":
		flags |= 1 << 9
	case "loop": // a CNAME that points at itself
		records = append(records, append(recordDNS(5, 2), 0xc0, header))
	case "wrongid":
		reply[0] ^= 0xff
	}
	for _, text := range addresses[name] {
		a := netip.MustParseAddr(text)
		if a.Is4() == (kind == 1) {
			records = append(records, append(recordDNS(kind, len(a.AsSlice())), a.AsSlice()...))
		}
	}
	binary.BigEndian.PutUint16(reply[2:], flags)
	binary.BigEndian.PutUint16(reply[6:], uint16(len(records)))
	clear(reply[8:header])
	for _, r := range records {
		reply = append(reply, r...)
	}
	return [][]byte{reply}
}

// recordDNS begins a record for the name of the question with this many bytes of data.
func recordDNS(kind uint16, size int) []byte {
	r := binary.BigEndian.AppendUint16([]byte{0xc0, 12}, kind)
	return binary.BigEndian.AppendUint16(append(r, 0, 1, 0, 0, 0, 60), uint16(size)) // class IN, 60 s
}

func named(host string, port uint16) *ssh.Attempt {
	return &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: host}, Port: port}}}
}

// A name that the DNS does not know, or does not answer for, is the failure of its host alone, at
// its own deadline, with a reason that says which.
func TestNamesThatCannotBeResolved(t *testing.T) {
	// faults.md: R01
	fakeDNS(t, nil)
	timeouts := ssh.Timeouts{Dial: 2 * time.Second}
	for host, reasons := range map[string][]fleet.Reason{
		"nxdomain.example": {fleet.ReasonNameNotFound},
		"servfail.example": {fleet.ReasonResolveFailed},
		"loop.example":     {fleet.ReasonResolveFailed, fleet.ReasonNameNotFound},
		"cutoff.example":   {fleet.ReasonResolveFailed, fleet.ReasonNameNotFound, fleet.ReasonResolveTimeout},
		"wrongid.example":  {fleet.ReasonResolveTimeout},
		"silent.example":   {fleet.ReasonResolveTimeout},
		"empty.example":    {fleet.ReasonNameNotFound, fleet.ReasonResolveFailed},
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			conn, err := Dialer{Timeouts: timeouts}.Open(t.Context(), named(host, 22))
			f, ok := errors.AsType[*fleet.Error](err)
			if conn != nil || !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Phase != fleet.PhaseResolve {
				t.Fatalf("%v, %+v", conn, err)
			}
			if !contains(reasons, f.Reason) {
				t.Errorf("the reason is %s, want one of %v: %v", f.Reason, reasons, err)
			}
			if text := err.Error(); len(text) > 1000 {
				t.Errorf("the cause has %d bytes", len(text))
			}
		})
	}
}

func contains(all []fleet.Reason, r fleet.Reason) bool {
	for _, one := range all {
		if one == r {
			return true
		}
	}
	return false
}

// Names that are not answered hold up no other: while a hundred of them wait, a good one connects.
func TestSilentNamesHoldUpNoOther(t *testing.T) {
	// faults.md: R02
	fakeDNS(t, map[string][]string{"good.example": {"127.0.0.1"}})
	l := listen(t, "127.0.0.1:0")
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	ended := make(chan error, 100)
	for i := range cap(ended) {
		waiting.Go(func() {
			_, err := Dialer{Timeouts: ssh.Timeouts{Dial: time.Hour}}.Open(ctx, named("silent."+strings.Repeat("x", i%50+1)+".example", port))
			ended <- err
		})
	}
	conn, err := Dialer{Timeouts: ssh.Timeouts{Dial: time.Hour}}.Open(t.Context(), named("good.example", port))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	cancel()
	waiting.Wait()
}

// Of several addresses the first that answers is used and recorded, and only that one gets past the
// connect. Nothing is special about loopback: the host key decides who a server is.
func TestNamesWithSeveralAddresses(t *testing.T) {
	// faults.md: R01 R03 R04
	many := make([]string, 50)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{127, 9, 0, byte(i + 1)}).String()
	}
	fakeDNS(t, map[string][]string{
		"dead.first.example": {"127.9.9.9", "127.0.0.1"},
		"both.example":       {"::1", "127.0.0.1"},
		"many.example":       append(many, "127.0.0.1"),
		"loopback.example":   {"127.0.0.1"},
	})
	l := listen(t, "127.0.0.1:0")
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	accepted := make(chan net.Conn, 16) // more than are made
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	hosts := []string{"dead.first.example", "both.example", "many.example", "loopback.example"}
	for _, host := range hosts {
		a := named(host, port)
		conn, err := Dialer{Timeouts: ssh.Timeouts{Dial: time.Hour}}.Open(t.Context(), a)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if a.Address == nil || a.Address.String() != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String() {
			t.Errorf("%s: recorded %v", host, a.Address)
		}
		_ = conn.Close()
	}
	_ = l.Close()
	n := 0
	for c := range accepted {
		n++
		_ = c.Close()
	}
	if n != len(hosts) {
		t.Errorf("%d connections for %d hosts", n, len(hosts))
	}
}
