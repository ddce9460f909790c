package limit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts/limit"
	"shoal/internal/hint"
)

func universe() *limit.Universe {
	u := new(limit.Universe)
	u.AddHosts("gate")
	u.AddGroup("web", "web1", "web2", "web3")
	u.AddGroup("db", "db1", "web3")
	u.AddGroup("eu", "web2", "db1", "fe80::1")
	u.AddGroup("empty")
	u.AddGroup("web", "a.example.com")
	return u
}

func TestSelect(t *testing.T) {
	for text, want := range map[string]string{
		"all":            "gate web1 web2 web3 db1 fe80::1 a.example.com",
		"web":            "web1 web2 web3 a.example.com",
		"web:db":         "web1 web2 web3 a.example.com db1",
		"db,web":         "db1 web3 web1 web2 a.example.com",
		"web:!db":        "web1 web2 a.example.com",
		"web:&eu":        "web2",
		"!db:web":        "web1 web2 a.example.com",
		"&eu:!db":        "web2 fe80::1",
		"web:!db:&eu":    "web2",
		"web:&db:!eu":    "web3",
		"web,":           "web1 web2 web3 a.example.com",
		" web , gate ":   "web1 web2 web3 a.example.com gate",
		"gate":           "gate",
		"fe80::1":        "fe80::1",
		"*.example.com":  "a.example.com",
		"web?":           "web1 web2 web3",
		"web[12]":        "", // refused: a subscript beyond the end
		"web[!1]":        "web2 web3",
		"[wg]*1":         "web1",
		"w*":             "web1 web2 web3 a.example.com",
		"~web[12]":       "web1 web2",
		"~.*1$":          "web1 db1 fe80::1",
		"web[0]":         "web1",
		"web[-1]":        "a.example.com",
		"web[1:2]":       "web2 web3",
		"web[2:]":        "web3 a.example.com",
		"web[1-9]":       "web2 web3 a.example.com",
		"empty":          "",
		"web:!empty":     "web1 web2 web3 a.example.com",
		"web:!WEB1":      "web2 web3 a.example.com",
		"web:!W*":        "a.example.com",
		"web:!~WEB[12]":  "web3 a.example.com",
		"all,!FE80::1":   "gate web1 web2 web3 db1 a.example.com",
		"web:!web1:gate": "web2 web3 a.example.com gate",
	} {
		got, err := universe().Select(text)
		if text == "web[12]" {
			if err == nil {
				t.Errorf("%s: %q", text, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(strings.Fields(want), append([]string{}, got...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	got, err := universe().Select("web", "!db", "gate")
	if diff := cmp.Diff(strings.Fields("web1 web2 a.example.com gate"), got); diff != "" || err != nil {
		t.Errorf("several: %v (-want +got):\n%s", err, diff)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want, hint string }{
		{"", "no host pattern", "name a group"},
		{"wbe", `pattern "wbe" matches no host and no group`, "shoal hosts"},
		{"web:!wbe", `pattern "wbe" matches no host and no group`, "shoal hosts"},
		{"web:&nothing*", `pattern "nothing*" matches no host and no group`, "shoal hosts"},
		{"web,!", "empty host pattern", "behind & and !"},
		{"web[4]", `pattern "web[4]": there are 4 hosts`, "[0]"},
		{"web[-5]", `pattern "web[-5]": there are 4 hosts`, "[0]"},
		{"web[3:1]", `pattern "web[3:1]": none of 4 hosts`, "[0]"},
		{"web[99999999999999999999]", `pattern "web[99999999999999999999]": there are 4 hosts`, "[0]"},
		{"[*", `pattern "[*": bracket is not closed`, "pairs"},
		{"web:*]", `pattern "web:*]": bracket is not closed`, "pairs"},
		{"empty[0]", `pattern "empty[0]": there are 0 hosts`, "[0]"},
		{"~(?=a)", "pattern \"~(?=a)\": error parsing regexp: invalid or unsupported Perl syntax: `(?=`", "RE2"},
		{"~(", "pattern \"~(\": error parsing regexp: missing closing ): `^(?:()`", "RE2"},
	} {
		got, err := universe().Select(c.text)
		if err == nil || err.Error() != c.want || !strings.Contains(hint.Of(err), c.hint) {
			t.Errorf("%s: %q, %v; want %s, …%s…", c.text, got, err, c.want, c.hint)
		}
	}
}

func TestSplitPort(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a ", "a:22": "a 22", "[a]:22": "a 22", "[::1]:22": "::1 22", "::1": "::1 ", "10.0.0.1:8": "10.0.0.1 8", "a[1:3]:22": "a[1:3] 22", "a[1:3]": "a[1:3] ",
		"a b:22": "a b:22 ", "u@a:22": "u@a:22 ", "a_:22": "a_:22 ", "-a:22": "-a:22 ", "a.:22": "a.:22 ", "é:1": "é 1", "a[x]:1": "a[x]:1 ", "": " ",
	} {
		host, port := limit.SplitPort(text)
		if got := host + " " + port; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzSelect: a selection is of the universe, each host once, and !x leaves nothing
// of x.
func FuzzSelect(f *testing.F) {
	for _, seed := range []string{"web:!db:&eu", "*.example.com", "~web\\d", "web[0:2]", "[!a]*,]", "[*", "web[]a]", "a[", "é*", "~(", "[Ad]*"} {
		f.Add(seed)
	}
	u := universe()
	all, _ := u.Group("all")
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := u.Select(text)
		if err != nil {
			if err.Error() == "" {
				t.Errorf("%q: an empty error", text)
			}
			return
		}
		seen := map[string]bool{}
		for _, h := range hosts {
			if seen[h] || !slices.Contains(all, h) {
				t.Errorf("%q chooses %q", text, hosts)
			}
			seen[h] = true
		}
		if strings.ContainsAny(text, ",:&!") || strings.ContainsFunc(text, unicode.IsSpace) {
			return
		}
		rest, err := u.Select("!" + text)
		whole := len(rest)+len(hosts) == len(all) || text != lowerASCII(text) // ! ignores case
		if err != nil || !whole || slices.ContainsFunc(rest, func(h string) bool { return seen[h] }) {
			t.Errorf("%q chooses %q, and ! leaves %q, %v", text, hosts, rest, fmt.Sprint(err))
		}
	})
}

// lowerASCII returns text without its upper-case letters and all beyond ASCII.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || unicode.IsUpper(r) {
			return -1
		}
		return r
	}, text)
}
