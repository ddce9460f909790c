package hosts_test

import (
	"errors"
	"strings"
	"testing"

	"shoal/hosts"
)

// FuzzHostFileFacts: any text is an inventory or Problems, and what a host is read from
// its text again is the same host.
func FuzzHostFileFacts(f *testing.F) {
	f.Add("a\n[web]\nb[1-3] x=1 y=\"2 3\"\n# c\nroot@[::1]:22\n")
	f.Add(`{"host":"a","port":22,"groups":["g"],"x":true}` + "\nplain\n")
	f.Add("[g:vars]\r\n\xef\xbb\xbf")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[") > 8 || strings.Count(text, "-") > 8 {
			return // products of ranges
		}
		l, err := hosts.Load(hosts.Options{Files: []string{"-"}, Stdin: strings.NewReader(text)})
		if err != nil {
			var p *hosts.Problems
			if !errors.As(err, &p) || p.Total == 0 || l != nil {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		for e := range l.Entries() {
			again, err := hosts.ParseHost(e.Host.String())
			if err != nil || again != e.Host {
				t.Fatalf("%q gives %+v, which reads as %+v, %v", text, e.Host, again, err)
			}
			if strings.HasPrefix(e.Address, "-") || strings.ContainsAny(e.Address+e.IdentityFile, "\x00\n") {
				t.Fatalf("%q gives the address %q and the key %q", text, e.Address, e.IdentityFile)
			}
			break
		}
	})
}
