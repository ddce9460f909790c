package hosts

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"shoal/hosts"
	"shoal/hosts/groups"
	"shoal/internal/cli/console"
	"shoal/internal/ui"
)

// sources loads the files that the flags name, and makes their hosts and groups known to
// expressions. It returns nil without such files.
func (f *hostsFlags) sources(ctx context.Context, stdio console.Stdio) (*hosts.List, error) {
	if len(f.hostfiles)+len(f.inventories) == 0 {
		return nil, nil //nolint:nilnil // no list is no error
	}
	list, err := hosts.LoadContext(ctx, hosts.Options{
		Files: f.hostfiles, Inventories: f.inventories, VarsDir: ".", Groups: f.groups, Stdin: stdio.In,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the hosts: %w", err)
	}
	for _, n := range list.Notices {
		console.Note(stdio.Err, n)
	}
	own := list.Groups()
	if then, ok := f.groups.(groups.Answerer); ok {
		f.groups = groups.Chain{First: own, Then: then}
	} else {
		f.groups = own
	}
	f.all = f.all || len(f.operands) == 0 && f.list == 0
	return list, nil
}

// printList prints a line for each host: its name, its groups, its address if that is another,
// and its attributes.
func printList(w *bufio.Writer, list *hosts.List) {
	own := list.Groups()
	member := make(map[string][]string, list.Len())
	for _, group := range slices.Sorted(slices.Values(own.Groups)) {
		if group == "all" || group == "ungrouped" {
			continue
		}
		names, _ := own.Members(group)
		for _, name := range names {
			member[name] = append(member[name], "@"+group)
		}
	}
	width := 0
	for h := range list.Hosts() {
		width = max(width, len(h.String()))
	}
	for e := range list.Entries() {
		h := e.Host
		words := []string{fmt.Sprintf("%-*s", width, h.String()), strings.Join(member[h.Name], ",")}
		if e.Address != "" {
			words = append(words, "address="+e.Address)
		}
		for name, value := range e.Attrs.All() {
			if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
				value = strconv.Quote(value)
			}
			words = append(words, name+"="+value)
		}
		words = slices.DeleteFunc(words, func(s string) bool { return s == "" })
		_, _ = w.WriteString(strings.TrimRight(ui.Visible(strings.Join(words, "  ")), " ") + "\n")
	}
}
