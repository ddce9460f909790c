package expr_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shoal/hosts/expr"
)

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		expr string
		want string // separated by blanks
	}{
		{"a", "a"},
		{"b,a,b", "b a b"},
		{" a , b\t,\tc ", "a b c"},
		{"node[1-3]", "node1 node2 node3"},
		{"node[8-11]", "node8 node9 node10 node11"},
		{"node[008-011]", "node008 node009 node010 node011"},
		{"node[099-100]", "node099 node100"},
		{"node[99-100]", "node99 node100"},
		{"node[0-2]", "node0 node1 node2"},
		{"node[00-02]", "node00 node01 node02"},
		{"node[00]", "node00"},
		{"node[3-3]", "node3"},
		{"node[1-9/2]", "node1 node3 node5 node7 node9"},
		{"node[1-8/3]", "node1 node4 node7"},
		{"node[01-10/4]", "node01 node05 node09"},
		{"node[1,3,7-9]", "node1 node3 node7 node8 node9"},
		{"node[9,1-2,1]", "node9 node1 node2 node1"},
		{"node[1-2,01-02]", "node1 node2 node01 node02"},
		{"node[ 1, 2 - 3 ]", "node1 node2 node3"},
		{"[1-2]", "1 2"},
		{"[5]x", "5x"},
		{"n[1-2]r[3-4]", "n1r3 n1r4 n2r3 n2r4"},
		{"n[1-2][3-4]", "n13 n14 n23 n24"},
		{"n[1-2]0[3-4]", "n103 n104 n203 n204"},
		{"a[1-2]b[1-2]c[1-2]", "a1b1c1 a1b1c2 a1b2c1 a1b2c2 a2b1c1 a2b1c2 a2b2c1 a2b2c2"},
		{"10.0.[0-1].[254-255]", "10.0.0.254 10.0.0.255 10.0.1.254 10.0.1.255"},
		{"user@node[1-2]:2222", "user@node1:2222 user@node2:2222"},
		{"u[1-2]@n:[22-23]", "u1@n:22 u1@n:23 u2@n:22 u2@n:23"},
		{"user@dom@host", "user@dom@host"},
		{"[::1]:22", "[::1]:22"},
		{"[1::2]", "[1::2]"},
		{"[fe80::1%eth0]:22,b", "[fe80::1%eth0]:22 b"},
		{"root@[2001:db8::1]:22,n[1-2]", "root@[2001:db8::1]:22 n1 n2"},
		{"::1", "::1"},
		{"fe80::[9-10]%eth0", "fe80::9%eth0 fe80::10%eth0"},
		{"n1-3", "n1-3"},
		{"c,b,a,c!b", "c a"},
		{"b,a!c", "b a"},
		{"c,b,a&a,c", "c a"},
		{"b,a&a,b", "b a"},
		{"b,a^a,c", "b c"},
		{"n[1-5]!n3 & n[3-9]", "n4 n5"},
		{"a!a,b", "b"},
		{"a!a", ""},
		{"a&b", ""},
		{"a^a^a", "a"},
		{"n[1-3]!n01,n2", "n1 n2 n3"},
		{"a[1-2]b[1-2]!a1b2", "a1b1 a2b1 a2b2"},
		{"n[1-2][3-4]!n13", "n14 n23 n24"},
		{"root@a,a!a", "root@a"},
		{"a[9999999999999998-9999999999999999]", "a9999999999999998 a9999999999999999"},
	} {
		got, err := expr.Expand(c.expr)
		if err != nil {
			t.Errorf("Expand(%q): %v", c.expr, err)
			continue
		}
		if diff := cmp.Diff(strings.Fields(c.want), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("Expand(%q) (-want +got):\n%s", c.expr, diff)
		}
		if e, err := expr.Parse(c.expr); err != nil || e.Len() != len(got) {
			t.Errorf("Parse(%q) counts %d, %v; want %d", c.expr, e.Len(), err, len(got))
		}
	}
}

func TestExpandErrors(t *testing.T) {
	for _, c := range []struct {
		expr   string
		offset int
		reason string
		hint   string // a part of it
	}{
		{"", 0, "empty expression", "at least one host"},
		{" \t", 2, "empty expression", "at least one host"},
		{",a", 0, "no name beside a comma", "remove"},
		{"a,", 2, "no name beside a comma", "remove"},
		{"a,,b", 2, "no name beside a comma", "remove"},
		{"a b", 2, "blank inside a name", "commas"},
		{"a\nb", 1, "line break inside an expression", "file"},
		{"n[]", 2, "empty range", "7-9"},
		{"n[1,,2]", 4, "empty range", "7-9"},
		{"n[1,]", 4, "empty range", "7-9"},
		{"n[5-1]", 2, "range starts at 5, after its end 1", "write 1-5"},
		{"n[1,9-7]", 4, "range starts at 9, after its end 7", "write 7-9"},
		{"n[1-2", 1, "bracket is not closed", `"]"`},
		{"n[", 1, "bracket is not closed", `"]"`},
		{"[::1", 0, "bracket is not closed", `"]"`},
		{"n]", 1, "closing bracket without an opening one", "node[1-9]"},
		{"n[1-[2]]", 4, "bracket inside a bracket", "side by side"},
		{"[::[1-2]]:22", 0, `"::[1-2" is not an IPv6 address`, "[::1]:22"},
		{"[::g]", 0, `"::g" is not an IPv6 address`, "[::1]:22"},
		{"n[01-100]", 2, "padding of 01 and 100 differs", "same width"},
		{"n[1-010]", 2, "padding of 1 and 010 differs", "same width"},
		{"n[0-02]", 2, "padding of 0 and 02 differs", "same width"},
		{"n[00-2]", 2, "padding of 00 and 2 differs", "same width"},
		{"n[3/2]", 2, "step without a range", "1-9/2"},
		{"n[1-3/0]", 2, "step of 0", "1"},
		{"n[1-3/]", 2, "number missing in a range", "1-9/2"},
		{"n[-1]", 2, "number missing in a range", "1-9/2"},
		{"n[1-]", 2, "number missing in a range", "1-9/2"},
		{"n[a-c]", 2, `"a" is not a number`, "1-9/2"},
		{"n[1-2-3]", 2, `"2-3" is not a number`, "1-9/2"},
		{"n[+1]", 2, `"+1" is not a number`, "1-9/2"},
		{"n[1-10000000000000000]", 2, `"10000000000000000" is too long for a number`, "16"},
		{"!a", 0, "no name beside the operator '!'", "between two names"},
		{"a&", 2, "no name beside the operator '&'", "between two names"},
		{"a^^b", 2, "no name beside the operator '^'", "between two names"},
		{"a,!b", 2, "no name beside the operator '!'", "between two names"},
		{"a!,b", 2, "no name beside a comma", "remove"},
		{"@", 0, `no name of a group after "@"`, "@name"},
		{"@site:", 0, `no name of a group after "@"`, "@name"},
		{"a!@w*", 2, "wildcard in the name of a group", "@*"},
		{"@web", 0, `group "@web": no group source is configured`, "name the hosts"},
		{"a, @site:web", 3, `group "@site:web": no group source is configured`, "name the hosts"},
		{"@@", 0, `group "@@": no group source is configured`, "name the hosts"},
		{"a,n?", 2, "a wildcard stands for known hosts: no group source is configured", "name the hosts"},
		{"b,a[1-999999999]", 2, "stands for more than 10000000 names", "digit"},
		{"a[1-10000001]", 0, "stands for more than 10000000 names", "digit"},
		{"a[1-5000000]!a[1-5000001]", 13, "stands for more than 10000000 names", "digit"},
		{"a[1-4000][1-4000]", 0, "stands for more than 10000000 names", "digit"},
		{"a[0-9999999999999999][0-9999999999999999][0-9999999999999999]", 0, "stands for more than 10000000 names", "digit"},
		{strings.Repeat("x", 1025), 0, "name of more than 1024 bytes", "comma"},
		{strings.Repeat("x", 1022) + "[1-100]", 0, "name of more than 1024 bytes", "comma"},
		{strings.Repeat("x", 1000) + "[1-9999999]", 0, "stands for more than 1073741824 bytes of names", "split"},
	} {
		names, err := expr.Expand(c.expr)
		var syntax *expr.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Expand(%.40q) = %.3q, %v; want a SyntaxError", c.expr, names, err)
			continue
		}
		if syntax.Offset != c.offset || syntax.Reason != c.reason || !strings.Contains(syntax.Hint(), c.hint) {
			t.Errorf("Expand(%.40q): offset %d, reason %q, hint %q; want %d, %q, …%q…",
				c.expr, syntax.Offset, syntax.Reason, syntax.Hint(), c.offset, c.reason, c.hint)
		}
	}
}

func TestSyntaxErrorIsBounded(t *testing.T) {
	_, err := expr.Expand("\x1b" + strings.Repeat("y", 500) + "]")
	want := `host expression "\x1b` + strings.Repeat("y", 79) + `"…: position 502: closing bracket without an opening one`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestRefusalCostsNothing(t *testing.T) {
	allocs := testing.AllocsPerRun(10, func() {
		if _, err := expr.Expand("a[1-9999999999999999]b[1-9999999999999999]"); err == nil {
			t.Error("not refused")
		}
	})
	if allocs > 20 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestNamesStopsEarly(t *testing.T) {
	e, err := expr.Parse("a,n[1-10000]r[1-900],b")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range e.Names() {
		got = append(got, name)
		if len(got) == 3 {
			break
		}
	}
	if want := []string{"a", "n1r1", "n1r2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{
		"a,b", "node[001-100]", "n[1-2]r[3-4]", "[::1]:22", "u@n[1-9/2]:22", "n[1-2][3-4]",
		"a[1-999999999]", "n[[1]]", "@g", "n[01-100]", "\x00[", "[1:2", "a[0-0],,", "a[1-9]!a3&a[2-4]^b", "n*", "a!!", "a!a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := expr.Parse(text)
		if err != nil {
			var syntax *expr.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Hint() == "" {
				t.Fatalf("Parse(%q): %#v", text, err)
			}
			return
		}
		if e.Len() < 0 || e.Len() > expr.MaxNames {
			t.Fatalf("Parse(%q) counts %d", text, e.Len())
		}
		if e.Len() > 10_000 {
			return
		}
		checkSet(t, e)
		names := slices.Collect(e.Names())
		if len(names) != e.Len() {
			t.Fatalf("%q: %d names, counted %d", text, len(names), e.Len())
		}
		for _, name := range names {
			if name == "" || len(name) > expr.MaxNameLen {
				t.Fatalf("%q: name %q", text, name)
			}
		}
		if len(names) > 0 {
			checkFold(t, names)
		}
	})
}
