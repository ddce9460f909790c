package keys

import (
	"errors"
	"fmt"
	"io"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/internal/ui"
)

// A reviewed is a collection compared with known_hosts.
type reviewed struct {
	report scan.Report
	groups []scan.Group
	router *hostkeys.Verifier
}

// review compares the collection with known_hosts and prints the differences.
func (c *collection) review(stdio console.Stdio) (*reviewed, error) {
	r := &reviewed{report: scan.Compare(judge{c.router}, c.seen), router: c.router}
	for i := range r.report.Findings {
		withoutCertificates(&r.report.Findings[i])
	}
	r.groups = r.report.Groups()
	for _, p := range c.router.Problems() {
		console.Note(stdio.Err, p.Error())
	}
	if err := r.print(stdio); err != nil {
		return nil, fmt.Errorf("printing the host keys: %w", err)
	}
	return r, nil
}

// A judge compares keys with known_hosts. For hosts that ssh_config keeps from
// being tried it returns the reason.
type judge struct{ router *hostkeys.Verifier }

// Judge compares the key with known_hosts, or returns why the host is not tried.
func (j judge) Judge(t ssh.Target, key xssh.PublicKey) (hostkeys.Judgement, error) {
	if err := t.Err(); err != nil {
		return hostkeys.Judgement{}, err
	}
	return j.router.Judge(t, key)
}

// withoutCertificates replaces each certificate by the key in it. A certificate
// of a host whose CA is not known does not count, and known_hosts has plain
// keys.
func withoutCertificates(f *scan.Finding) {
	if f.State == scan.Known {
		return
	}
	keys := make([]xssh.PublicKey, len(f.Keys))
	for i, key := range f.Keys {
		keys[i] = key
		if cert, ok := key.(*xssh.Certificate); ok {
			keys[i] = cert.Key
		}
	}
	f.Keys = keys
}

// print prints the groups, with all known hosts on one line, and a summary.
func (r *reviewed) print(stdio console.Stdio) error {
	var errs []error
	if hosts := r.report.Hosts(scan.Known); hosts != "" {
		errs = append(errs, printState(stdio.Out, scan.Known, hosts))
	}
	for _, g := range r.groups {
		if g.State != scan.Known {
			errs = append(errs, r.printGroup(stdio.Out, g))
		}
	}
	console.Say(stdio.Err, "%s", countStates(r.report))
	return errors.Join(errs...)
}

func printState(w io.Writer, s scan.State, hosts string) error {
	_, err := fmt.Fprintf(w, "%-8s %s\n", s, ui.Visible(hosts))
	return err
}

// printGroup prints one group with its keys.
func (r *reviewed) printGroup(w io.Writer, g scan.Group) error {
	if err := printState(w, g.State, g.Hosts()); err != nil {
		return err
	}
	for _, line := range r.details(g) {
		if _, err := fmt.Fprintf(w, "         %s\n", ui.Visible(line)); err != nil {
			return err
		}
	}
	return nil
}

// details returns the lines about a group: known keys that were not shown (-),
// new keys (+), known keys that were shown (=), and other objections.
func (r *reviewed) details(g scan.Group) []string {
	var lines []string
	if g.State == scan.Changed {
		lines = r.lost(g)
	}
	for _, key := range g.Keys {
		sign := "+"
		if j, err := r.router.Judge(g.Findings[0].Target, key); err == nil && j.Status == hostkeys.StatusKnown {
			sign = "="
		}
		lines = append(lines, sign+" "+fingerprint(key))
	}
	switch g.State {
	case scan.Weak, scan.Revoked, scan.Bad:
		what, _ := hint.Split(g.Findings[0].Why.Error())
		lines = append(lines, what)
	}
	return lines
}

// maxLost limits the known keys that are listed for one group.
const maxLost = 8

// lost lists the known keys of the group's hosts that none of them showed, each
// once.
func (r *reviewed) lost(g scan.Group) []string {
	var lines []string
	listed := make(map[string]bool)
	for _, f := range g.Findings {
		for _, k := range r.known(f) {
			id := xssh.FingerprintSHA256(k.Key)
			if k.Authority || k.Revoked || listed[id] {
				continue
			}
			listed[id] = true
			if len(listed) <= maxLost {
				lines = append(lines, "- "+k.String())
			}
		}
	}
	if more := len(listed) - maxLost; more > 0 {
		lines = append(lines, fmt.Sprintf("- and %d more", more))
	}
	return lines
}

// known returns the host's keys in known_hosts; nil if that cannot be read.
func (r *reviewed) known(f scan.Finding) []hostkeys.Known {
	store, err := r.router.Store(f.Target)
	if err != nil {
		return nil
	}
	known, err := store.Known(f.Target.Target)
	if err != nil {
		return nil
	}
	return known
}

// fingerprint formats a key as ssh-keygen -l does.
func fingerprint(key xssh.PublicKey) string { return key.Type() + " " + xssh.FingerprintSHA256(key) }

// countStates returns the number of hosts in each state as text.
func countStates(r scan.Report) string {
	text := ""
	for state, n := range r.Count() {
		if n > 0 {
			text += fmt.Sprintf(", %s %s", ui.Count(int64(n)), scan.State(state))
		}
	}
	if text == "" {
		return "no host keys"
	}
	return text[len(", "):]
}
