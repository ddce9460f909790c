package hosts_test

import (
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/hosts"
)

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		text string
		want fleet.Host
	}{
		{"node1", fleet.Host{Name: "node1"}},
		{"Node-1.example.org.", fleet.Host{Name: "Node-1.example.org."}},
		{"under_score", fleet.Host{Name: "under_score"}},
		{"node1:22", fleet.Host{Name: "node1", Port: 22}},
		{"node1:65535", fleet.Host{Name: "node1", Port: 65535}},
		{"root@node1", fleet.Host{Name: "node1", User: "root"}},
		{"root@node1:2222", fleet.Host{Name: "node1", User: "root", Port: 2222}},
		{"user@example.org@node1", fleet.Host{Name: "node1", User: "user@example.org"}},
		{`DOMAIN\user@node1`, fleet.Host{Name: "node1", User: `DOMAIN\user`}},
		{"127.0.0.1:22", fleet.Host{Name: "127.0.0.1", Port: 22}},
		{"::1", fleet.Host{Name: "::1"}},
		{"::1:22", fleet.Host{Name: "::1:22"}},
		{"[::1]", fleet.Host{Name: "::1"}},
		{"[::1]:22", fleet.Host{Name: "::1", Port: 22}},
		{"root@[2001:db8::1]:22", fleet.Host{Name: "2001:db8::1", User: "root", Port: 22}},
		{"fe80::1%eth0", fleet.Host{Name: "fe80::1%eth0"}},
		{"[fe80::1%eth0.100]:22", fleet.Host{Name: "fe80::1%eth0.100", Port: 22}},
		{strings.Repeat("a", 255), fleet.Host{Name: strings.Repeat("a", 255)}},
	} {
		got, err := hosts.ParseHost(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseHost(%.50q) = %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

// TestI02 holds the corpus of catalogue row I02: names that mean something to a
// shell, an option parser, a path or a terminal.
// faults.md: I02
func TestI02(t *testing.T) {
	for _, c := range []struct{ text, reason string }{
		{"-oProxyCommand=id", "host name begins with '-'"},
		{"root@-oProxyCommand=id", "host name begins with '-'"},
		{"-oProxyCommand=id@host", "user name begins with '-'"},
		{"$(id)", `character '$' in a host name`},
		{"a;b", `character ';' in a host name`},
		{"a`id`", "character '`' in a host name"},
		{"a|b", `character '|' in a host name`},
		{"a&b", `character '&' in a host name`},
		{"a>b", `character '>' in a host name`},
		{"a'b", `character '\'' in a host name`},
		{`a"b`, `character '"' in a host name`},
		{`a\b`, `character '\\' in a host name`},
		{"a b", `character ' ' in a host name`},
		{"a\nb", `character '\n' in a host name`},
		{"a\x00b", `character '\x00' in a host name`},
		{"a\x1b[31mb", `character '\x1b' in a host name`},
		{"%h", `character '%' in a host name`},
		{"a#b", `character '#' in a host name`},
		{"a*", `character '*' in a host name`},
		{"!a", `character '!' in a host name`},
		{"a=b", `character '=' in a host name`},
		{"../../etc/passwd", `character '/' in a host name`},
		{"..", "host name without a letter or digit"},
		{strings.Repeat("a", 256), "host name of 256 bytes"},
		{"bücher.example", `character 'ü' (U+00FC) in a host name`},
		{"a\u202eb", `character '\u202e' (U+202E) in a host name`},
		{"", "no host name"},
		{":22", "no host name"},
		{"root@", "no host name"},
		{"@host", "no user name before '@'"},
		{"host:", `port ""`},
		{"host:0", `port "0"`},
		{"host:65536", `port "65536"`},
		{"host:+22", `port "+22"`},
		{"host:ssh", `port "ssh"`},
		{"[::1]:", `port ""`},
		{"[::1", "bracket is not closed"},
		{"[::1]22", `"22" after the address`},
		{"[127.0.0.1]:22", `"127.0.0.1" is not an IPv6 address`},
		{"[node]:22", `"node" is not an IPv6 address`},
		{"a:b:c", `"a:b:c" is not an IPv6 address`},
		{"fe80::1%$(id)", `zone "$(id)" of an IPv6 address`},
		{"fe80::1%-x", `zone "-x" of an IPv6 address`},
		{"ssh://host", "a URI is not a host"},
		{"ssh://host:22", "a URI is not a host"},
		{"ssh://u@host:22/", "a URI is not a host"},
		{"$(id)@host", `character '(' in a user name`},
		{"a;b@host", `character ';' in a user name`},
		{"a`b@host", "character '`' in a user name"},
		{"a b@host", `character ' ' in a user name`},
		{"a\x1bb@host", `character '\x1b' in a user name`},
		{"a\u202eb@host", `character '\u202e' in a user name`},
		{`a\@host`, `user name ends in '\'`},
		{"a\xff@host", "user name is not valid UTF-8"},
		{strings.Repeat("u", 256) + "@host", "user name of 256 bytes"},
	} {
		h, err := hosts.ParseHost(c.text)
		if err == nil {
			t.Errorf("ParseHost(%q) = %+v", c.text, h)
			continue
		}
		if err.Error() != c.reason {
			t.Errorf("ParseHost(%q): %v; want %s", c.text, err, c.reason)
		}
		hinted, ok := err.(interface{ Hint() string })
		if !ok || hinted.Hint() == "" {
			t.Errorf("ParseHost(%q): %v has no hint", c.text, err)
		}
	}
}

func TestInternationalNameHint(t *testing.T) {
	_, err := hosts.ParseHost("bücher.example")
	if hint := err.(interface{ Hint() string }).Hint(); !strings.Contains(hint, "xn--") {
		t.Errorf("hint %q", hint)
	}
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{
		"node1", "u@n:22", "[::1]:22", "fe80::1%eth0", "-oX", "ssh://h", "a@b@c:1", "[", "@", ":", "\xff", "::", "[a]:1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := hosts.ParseHost(text)
		if err != nil {
			return
		}
		if h.Name == "" || h.Name[0] == '-' || strings.ContainsAny(h.Name, "'`\"$\\;&<>|(){}*?!#,/@[] \t\r\n\x00\x1b\x7f") {
			t.Fatalf("ParseHost(%q) lets %q through", text, h.Name)
		}
		again, err := hosts.ParseHost(h.String())
		if err != nil || again != h {
			t.Fatalf("ParseHost(%q) = %+v, whose text %q parses to %+v, %v", text, h, h.String(), again, err)
		}
	})
}
