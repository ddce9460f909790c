package config

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/internal/ssh/match"
)

// parseText parses a configuration from memory.
func parseText(text string) (*Config, error) {
	local, err := Local{
		User: "me", Home: "/home/me", Hostname: "desk", Getenv: func(name string) (string, bool) { return "value", name == "SET" },
		HomeOf: func(string) (string, error) { return "", errors.New("nobody") },
	}.withDefaults()
	if err != nil {
		return nil, err
	}
	o := &LoadOptions{Exec: func(_ context.Context, command string) (bool, error) { return len(command)%2 == 0, nil }}
	l := &loader{local: local, algorithms: &o.Algorithms, keywords: indexKeywords(), files: make(map[fileKey]*file)}
	f, err := l.parse("config", text, true)
	if err != nil {
		return nil, err
	}
	l.checkUnknown([]*file{f})
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	lookup := func(_ context.Context, name string) (string, bool, error) { return name, len(name)%2 == 0, nil }
	c := &Config{
		local: local, keywords: l.keywords, files: []*file{f}, commandLine: &file{}, wantFinal: l.wantFinal,
		exec: newExecCache(o, local), lookup: lookup,
	}
	for i := range keywordTable {
		c.names[keywordTable[i].op] = keywordTable[i].name
	}
	return c, nil
}

// Whatever the text, an accepted configuration resolves to checked names, or to an error with a
// place.
func FuzzConfig(f *testing.F) {
	for _, s := range handwrittenSamples(f) {
		f.Add(s.files["config"])
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(match.Lower(text), "include") {
			return // it would read files
		}
		c, err := parseText(text)
		if err != nil {
			return
		}
		for _, host := range []string{"somehost", "web1.example.com", "::1"} {
			r, err := c.Resolve(t.Context(), host, Options{})
			if err != nil {
				continue
			}
			if ValidHostName(r.HostName) != nil || ValidUser(r.User) != nil || r.Port == 0 || r.ConnectionAttempts < 1 {
				t.Errorf("%q resolves to %q@%q:%d", host, r.User, r.HostName, r.Port)
			}
			for _, j := range r.Jumps {
				if ValidHostName(j.Host) != nil || j.User != "" && ValidUser(j.User) != nil {
					t.Errorf("%q has jump host %v", host, j)
				}
			}
			if argv, err := r.ProxyArgv(); err == nil && (len(argv) == 0) != (r.ProxyCommand == "") {
				t.Errorf("%q is run as %q", r.ProxyCommand, argv)
			}
			for _, s := range r.Settings() {
				if s.Source.Line > strings.Count(text, "\n")+1 {
					t.Errorf("%v comes from %v", s, s.Source)
				}
			}
		}
	})
}

// Quoted words are parsed back unchanged.
func FuzzWords(f *testing.F) {
	for _, s := range []string{`a b`, `"a b" c`, `'x"y' \"z\\`, `a#b #c`, `"open`, `a\ b`, "\t x\t", `a""b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, err := splitWords(s)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			w = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w)
			quoted = append(quoted, `"`+w+`"`)
		}
		again, err := splitWords(strings.Join(quoted, " \t"))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q gives %q, and these %q: %v", s, words, again, err)
		}
		if word, rest, err := cutKeyword(s); err == nil && len(word)+len(rest) > len(s) {
			t.Errorf("%q gives %q and %q", s, word, rest)
		}
	})
}

// Text whose percent signs are doubled is restored; other text has no disallowed tokens left.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"%h-%p", "%%", "%", "%x", "${SET}/%C", "${UNSET}", "${", "${}", "a%%%h", "$SET"} {
		f.Add(s)
	}
	getenv := func(name string) (string, bool) { return "value", name == "SET" }
	f.Fuzz(func(t *testing.T, s string) {
		tokens := &tokens{host: "h", port: "22"}
		if len(s) > maxExpanded/4 {
			return
		}
		plain, err := tokens.expand(strings.ReplaceAll(s, "%", "%%"), tokensCommon, nil)
		if err != nil || plain != s {
			t.Errorf("%q with doubled signs gives %q: %v", s, plain, err)
		}
		only, err := tokens.expand(s, "h", getenv)
		if err == nil && !strings.ContainsAny(s, "%$") && only != s {
			t.Errorf("%q gives %q", s, only)
		}
		if env, err := expandEnv(s, getenv); err == nil && !strings.Contains(s, "${") && env != s {
			t.Errorf("%q gives %q without variables", s, env)
		}
	})
}

// Patterns match the same as the equivalent regular expression.
func FuzzPattern(f *testing.F) {
	f.Add("web1.example.com", "web*.example.???")
	f.Add("aaaaaaaaaaaaaaaa", "*a*a*a*a*b")
	f.Add("", "*")
	f.Add("a", "!a,*")
	f.Fuzz(func(t *testing.T, s, pattern string) {
		if len(s) > 200 || len(pattern) > 200 {
			return
		}
		checkPattern(t, s, pattern)
		matchList(s, pattern)
		if matchList(s, "*,"+pattern) && slices.Contains(strings.Split(pattern, ","), "!*") {
			t.Errorf("%q matches %q, which excludes all", s, pattern)
		}
	})
}

type reporter interface {
	Errorf(format string, args ...any)
}

func checkPattern(t reporter, s, pattern string) {
	var expr strings.Builder
	expr.WriteString(`(?s)^`)
	for i := range len(pattern) {
		switch pattern[i] {
		case '*':
			expr.WriteString(`.*`)
		case '?':
			expr.WriteString(`.`)
		default:
			expr.WriteString(regexp.QuoteMeta(latin(pattern[i : i+1])))
		}
	}
	want := regexp.MustCompile(expr.String() + `$`).MatchString(latin(s))
	if got := match.Pattern(s, pattern); got != want {
		t.Errorf("%q matches %q: %v, want %v", s, pattern, got, want)
	}
	if p := parsePattern(pattern); !p.negated && p.matches(s) != want {
		t.Errorf("%q matches %q when parsed: %v, want %v", s, pattern, !want, want)
	}
}

// latin converts each byte to a rune, so that "." matches a byte.
func latin(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func TestPatternsAreRegular(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[ab.]{0,12}`).Draw(t, "s")
		checkPattern(t, s, rapid.StringMatching(`[ab.*?]{0,10}`).Draw(t, "pattern"))
	})
}

// FuzzJumps parses what it printed, and never returns an empty host.
func FuzzJumps(f *testing.F) {
	for _, s := range []string{"a", "u@a:7,b", "ssh://u@a:1", "[::1]:2", "none", "a,,b", "ssh://%41@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseJumps(s)
		if err != nil {
			return
		}
		for _, j := range list.jumps {
			if j.Host == "" {
				t.Errorf("%q has an empty host", s)
			}
			if ValidHostName(j.Host) != nil || strings.ContainsAny(j.Host, "[]@/#") || ValidUser(j.User) != nil ||
				strings.ContainsAny(j.User, "#,") || strings.HasPrefix(j.User, "ssh://") || strings.EqualFold(j.Host, "none") {
				continue
			}
			if back, err := ParseJumps(j.String()); err != nil || len(back) != 1 || back[0] != j {
				t.Errorf("%q prints %q and reads back as %v: %v", s, j, back, err)
			}
		}
	})
}

func FuzzForward(f *testing.F) {
	for _, s := range []string{"80:a:80", "/a:/b", "[::1]:1:[::2]:2", `a\:b:1`, "*:1:/s", "1", ":"} {
		f.Add(s, false, false)
		f.Add(s, true, true)
	}
	f.Fuzz(func(t *testing.T, s string, dynamic, remote bool) {
		fwd, ok := parseForward(s, dynamic, remote)
		if !ok {
			return
		}
		if fwd.listenPath == "" && (fwd.listenPort < 0 || fwd.listenPort > 65535) || fwd.connectPort > 65535 {
			t.Errorf("%q is %+v", s, fwd)
		}
		if text, err := fwd.print(dynamic, func(p string) (string, error) { return p, nil }); err != nil || text == "" {
			t.Errorf("%q prints %q: %v", s, text, err)
		}
	})
}
