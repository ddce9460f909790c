package hostkeys

import "testing"

func TestMatchList(t *testing.T) {
	for _, c := range []struct {
		name, patterns string
		want           bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "b,a", true},
		{"a", "A", true},
		{"a", "", false},
		{"web1.example.net", "*.example.net", true},
		{"example.net", "*.example.net", false},
		{"web1.example.net", "web?.example.net", true},
		{"web10.example.net", "web?.example.net", false},
		{"web1.example.net", "*.example.net,!web1.*", false},
		{"web1.example.net", "!web1.*,*.example.net", false},
		{"web2.example.net", "!web1.*,*.example.net", true},
		{"web1.example.net", "!web2.*", false},
		{"[web1]:2222", "*", true},
		{"[web1]:2222", "[*]:2222", true},
		{"[web1]:2222", "[web?]:*", true},
		{"web1", "[w]eb1", false},
		{"aaab", "*a*b", true},
		{"aaab", "*a*a*a*a*b", false},
	} {
		if got := matchList(c.name, c.patterns); got != c.want {
			t.Errorf("matchList(%q, %q) = %v", c.name, c.patterns, got)
		}
	}
}
