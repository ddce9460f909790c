package client

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// What an attempt is made with: each is a list of choices.
//
// The full product of them would be thousands of attempts for each server. The
// cells that are run are chosen so that every pair of choices, of any two
// factors, is met in at least one cell (all pairs), and then filled up with
// random cells to cellsPerMode for each pipeline mode. Each cell is two
// attempts: the first contact, and one that remembers it.
type factors struct {
	pipelines []Pipeline
	kex       []string
	suites    []suite
	hostKeys  []string // algorithms
	signers   []xssh.Signer
	ways      []way
	outputs   []int // of the command, in bytes
}

const cellsPerMode = 25

// A suite protects packets.
type suite struct{ cipher, mac string }

// A way is how bytes get to the server and who does the I/O.
type way uint8

const (
	wayLoop           way = iota // as they are, in the event loop
	wayGoroutine                 // as they are, on a goroutine
	wayChopped                   // cut by the connection, on a goroutine
	wayChoppedOutside            // cut by a relay, in the event loop
	ways
)

// A cell has a choice of each factor, by number.
type cell [7]int

func (f *factors) sizes() cell {
	return cell{
		len(f.pipelines), len(f.kex), len(f.suites), len(f.hostKeys), len(f.signers), len(f.ways), len(f.outputs),
	}
}

// A pair is two choices of two factors.
type pair struct{ factorA, choiceA, factorB, choiceB int }

func (c cell) pairs() []pair {
	var all []pair
	for a := range c {
		for b := range a {
			all = append(all, pair{a, c[a], b, c[b]})
		}
	}
	return all
}

// cells chooses greedily: of some random cells, the one with most pairs that are
// not met yet.
func (f *factors) cells(dice *rand.Rand) []cell {
	sizes := f.sizes()
	missing := 0
	for a := range sizes {
		for b := range a {
			missing += sizes[a] * sizes[b]
		}
	}
	met := make(map[pair]bool)
	perMode := make([]int, len(f.pipelines))
	var chosen []cell
	for missing > len(met) || slices.Min(perMode) < cellsPerMode {
		var best cell
		most := -1
		for range 50 {
			var c cell
			for i, size := range sizes {
				c[i] = dice.IntN(size)
			}
			fresh := 0
			for _, p := range c.pairs() {
				if !met[p] {
					fresh += 10
				}
			}
			if perMode[c[0]] < cellsPerMode {
				fresh++
			}
			if fresh > most {
				best, most = c, fresh
			}
		}
		for _, p := range best.pairs() {
			met[p] = true
		}
		perMode[best[0]]++
		chosen = append(chosen, best)
	}
	return chosen
}

func TestCellsMeetAllPairs(t *testing.T) {
	f := factors{
		pipelines: []Pipeline{Full, Auth, Off}, kex: make([]string, 5), suites: make([]suite, 11),
		hostKeys: make([]string, 3), signers: make([]xssh.Signer, 3), ways: make([]way, ways), outputs: make([]int, 2),
	}
	met := make(map[pair]bool)
	perMode := make([]int, 3)
	for _, c := range f.cells(rand.New(rand.NewPCG(1, 2))) {
		perMode[c[0]]++
		for _, p := range c.pairs() {
			met[p] = true
		}
	}
	sizes := f.sizes()
	for a := range sizes {
		for b := range a {
			for i := range sizes[a] {
				for j := range sizes[b] {
					if !met[pair{a, i, b, j}] {
						t.Errorf("choice %d of factor %d never meets choice %d of factor %d", i, a, j, b)
					}
				}
			}
		}
	}
	if slices.Min(perMode) < cellsPerMode {
		t.Errorf("cells per mode: %d, want %d", perMode, cellsPerMode)
	}
}

// interopSeed determines every random choice.
const interopSeed = 20260731

// A peer is a server and the choices that it offers.
type peer struct {
	name     string
	host     fleet.Host
	hostKeys []xssh.PublicKey
	factors  factors
}

// atOnce is the number of concurrent connections to a server: Dropbear accepts five
// unauthenticated ones from an address.
const atOnce = 4

func TestInterop(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", interopSeed)
	signers := make(map[sshdtest.KeyType]xssh.Signer)
	for _, kind := range []sshdtest.KeyType{sshdtest.Ed25519, sshdtest.ECDSA, sshdtest.RSA} {
		signers[kind] = newSigner(t, kind)
	}
	for _, kind := range sshdtest.Kinds() {
		if kind.Name == "TinySSH" { // has no cipher that is safe with it: see TestNeedsStrict
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			interop(t, startPeer(t, kind, signers))
		})
	}
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		interop(t, startSimulatedPeer(t, "Go", simfleet.ServerXCrypto, signers))
	})
	t.Run("wire", func(t *testing.T) {
		t.Parallel()
		interop(t, startSimulatedPeer(t, "wire", simfleet.ServerWire, signers))
	})
}

// startPeer starts a server with all its features enabled.
func startPeer(t *testing.T, kind sshdtest.Kind, signers map[sshdtest.KeyType]xssh.Signer) peer {
	t.Helper()
	p := peer{name: kind.Name, factors: commonFactors()}
	var public []xssh.PublicKey
	for _, k := range kind.UserKeys {
		p.factors.signers = append(p.factors.signers, signers[k])
		public = append(public, signers[k].PublicKey())
	}
	for _, k := range kind.HostKeys {
		p.factors.hostKeys = append(p.factors.hostKeys, map[sshdtest.KeyType][]string{
			sshdtest.Ed25519: {"ssh-ed25519"},
			sshdtest.ECDSA:   {"ecdsa-sha2-nistp256"},
			sshdtest.RSA:     {"rsa-sha2-256", "rsa-sha2-512"},
		}[k]...)
	}
	if kind.Name == "Dropbear" || kind.Name == "AsyncSSH" {
		// Dropbear 2022.83 lacks it. AsyncSSH 2.10 stores the choice between the two with
		// the key that all connections share, so that one connection changes it for
		// another.
		p.factors.hostKeys = slices.DeleteFunc(p.factors.hostKeys, func(a string) bool { return a == "rsa-sha2-512" })
	}
	p.factors.kex = common(kind.Kex, wire.KexAlgorithms())
	p.factors.suites = suites(kind.Ciphers, kind.MACs)
	if kind.Name == "Paramiko" { // it has no strict key exchange
		p.factors.suites = suites(kind.Ciphers, wire.WithoutStrict(kind.MACs))
	}
	opts := []sshdtest.Option{sshdtest.WithHostKeys(kind.HostKeys...), sshdtest.WithAuthorized(public...)}
	if kind.Name == "OpenSSH" { // its own bound is random from 10 on
		opts = append(opts, sshdtest.WithConfig("MaxStartups 100"))
	}
	s := kind.Start(t, opts...)
	p.host, p.hostKeys = s.Host, s.HostKeys
	return p
}

// startSimulatedPeer starts golang.org/x/crypto/ssh's server or that of package wire.
func startSimulatedPeer(t *testing.T, name string, server simfleet.Server, signers map[sshdtest.KeyType]xssh.Signer) peer {
	t.Helper()
	f, err := simfleet.Start(t.Context(), simfleet.Options{
		Hosts: 1, Server: server,
		Allow: func(_ int, _ string, key xssh.PublicKey) bool {
			for _, s := range signers {
				if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
					return true
				}
			}
			return false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	p := peer{name: name, host: f.Host(0), hostKeys: []xssh.PublicKey{f.HostKey(0)}, factors: commonFactors()}
	for _, s := range signers {
		p.factors.signers = append(p.factors.signers, s)
	}
	theirs := xssh.SupportedAlgorithms()
	p.factors.hostKeys = []string{"ssh-ed25519"}
	p.factors.kex = common(wire.KexAlgorithms(), theirs.KeyExchanges)
	p.factors.suites = suites(common(wire.Ciphers(), theirs.Ciphers), common(wire.MACs(), theirs.MACs))
	return p
}

func commonFactors() factors {
	return factors{
		pipelines: []Pipeline{Full, Auth, Off},
		ways:      []way{wayLoop, wayGoroutine, wayChopped, wayChoppedOutside},
		outputs:   []int{0, 100_000},
	}
}

// suites pairs each cipher with each MAC where it needs one.
func suites(ciphers, macs []string) []suite {
	var all []suite
	for _, c := range ciphers {
		if !strings.HasSuffix(c, "-ctr") {
			all = append(all, suite{cipher: c})
			continue
		}
		for _, m := range macs {
			all = append(all, suite{c, m})
		}
	}
	return all
}

// interop runs the cells, some concurrently.
func interop(t *testing.T, p peer) {
	chop := newChopper(interopSeed)
	address := fleet.Target{Host: p.host}.Address()
	cut := startRelay(t, address, chop.carry)
	cells := p.factors.cells(rand.New(rand.NewPCG(interopSeed, 1)))
	next := make(chan int) // sent and closed below; the workers receive
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				p.runCell(t, i, cells[i], chop, cut)
			}
		})
	}
	for i := range cells {
		next <- i
	}
	close(next)
	workers.Wait()
	t.Logf("%d cells, twice each", len(cells))
}

// runCell makes the two attempts of a cell.
func (p *peer) runCell(t *testing.T, i int, c cell, chop *chopper, cut *relay) {
	f := &p.factors
	kex, protection, hostKey := f.kex[c[1]], f.suites[c[2]], f.hostKeys[c[3]]
	signer, route, size := f.signers[c[4]], f.ways[c[5]], f.outputs[c[6]]

	r := newRig(p.host, p.hostKeys, signer)
	r.Pipeline, r.Memory = f.pipelines[c[0]], newMemory(t)
	r.HostKeys = trustingSome{keys: p.hostKeys, prefer: []string{hostKey}}
	r.settings = &ssh.Settings{Kex: []string{kex}, Ciphers: []string{protection.cipher}}
	if protection.mac != "" {
		r.settings.MACs = []string{protection.mac}
	}
	switch route {
	case wayGoroutine:
		r.Park = ParkGoroutine
	case wayChopped:
		r.wrap = func(nc net.Conn) net.Conn { return &choppedConn{Conn: nc, chop: chop} }
	case wayChoppedOutside:
		r.host.Name, r.host.Port = "127.0.0.1", cut.port()
	}
	d := r.newDialer(t)

	about := fmt.Sprintf("cell %d (%v, %s, %v, %s, %s, way %d, %d bytes)",
		i, r.Pipeline, kex, protection, hostKey, signer.PublicKey().Type(), route, size)
	for _, contact := range []string{"first", "remembered"} {
		status := uint32(1 + i%250)
		command := fmt.Sprintf("echo out-%d; echo err-%d >&2; head -c %d /dev/zero; exit %d", i, i, size, status)
		e := r.attempt(t, d, command)
		wantOut := fmt.Sprintf("out-%d\n", i) + strings.Repeat("\x00", size)
		if e.Outcome != fleet.OutcomeFailed || e.Status != status || e.Phase != fleet.PhaseDrain || e.Flags != fleet.FlagExitKnown {
			t.Errorf("%s, %s contact: ended %v(%s) in %v with status %d, flags %v, want status %d\ncause: %v",
				about, contact, e.Outcome, e.Reason, e.Phase, e.Status, e.Flags, status, e.Err)
			break
		}
		if string(e.stdout) != wantOut || string(e.stderr) != "err-"+strconv.Itoa(i)+"\n" {
			t.Errorf("%s, %s contact: output %.60q (%d bytes) and %.60q", about, contact, e.stdout, len(e.stdout), e.stderr)
		}
	}
	if known, _ := r.Memory.Get(endpoint(r.target("").Target)); !slices.Contains(known.Kex, kex) {
		t.Errorf("%s: the kex that is remembered is %v", about, known.Kex)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if r.wrap != nil && r.open != 0 {
		t.Errorf("%s: %d connections are left", about, r.open)
	}
}
