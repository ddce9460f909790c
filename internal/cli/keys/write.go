package keys

import (
	"fmt"

	"shoal/internal/cli/console"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ui"
)

// A book is a known_hosts file with the approvals to write to it.
type book struct {
	opts      hostkeys.Options
	approvals []hostkeys.Approval
	places    map[string]int // index in approvals, by the host's name in known_hosts
}

// writeApprovals writes the approvals to the known_hosts files of their targets
// and prints the files' names.
func writeApprovals(approvals []hostkeys.Approval, stdio console.Stdio) error {
	books := make(map[string]*book)
	var order []*book
	for _, a := range approvals {
		o := hostkeys.OptionsOf(a.Target.Settings().Known)
		id := fmt.Sprintf("%t %q", o.HashNames, o.Files[:min(1, len(o.Files))])
		b := books[id]
		if b == nil {
			b = &book{opts: o, places: make(map[string]int)}
			books[id] = b
			order = append(order, b)
		}
		b.add(a)
	}
	for _, b := range order {
		if err := hostkeys.Approve(b.opts, b.approvals); err != nil {
			return err
		}
		console.Say(stdio.Err, "%s written to %s", countHosts(len(b.approvals)), ui.Visible(fmt.Sprintf("%q", b.opts.Files[0])))
	}
	return nil
}

// add merges approvals of one name in known_hosts, which has several targets if it is used by
// several users, is a HostKeyAlias, or is the HostName of several.
func (b *book) add(a hostkeys.Approval) {
	name, err := hostkeys.NameOf(a.Target.Target)
	if err != nil { // Approve refuses it
		b.approvals = append(b.approvals, a)
		return
	}
	at, ok := b.places[name]
	if !ok {
		b.places[name] = len(b.approvals)
		b.approvals = append(b.approvals, a)
		return
	}
	b.approvals[at].Keys = append(b.approvals[at].Keys, a.Keys...)
	b.approvals[at].Replace = b.approvals[at].Replace || a.Replace
}

func countHosts(n int) string {
	if n == 1 {
		return "the keys of 1 host are"
	}
	return fmt.Sprintf("the keys of %s hosts are", ui.Count(int64(n)))
}
