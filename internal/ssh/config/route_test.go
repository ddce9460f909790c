package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"shoal/internal/ssh/config"
)

func TestRoute(t *testing.T) {
	c := load(t, `
Host target
  ProxyJump op@mid:2200,near
Host mid
  HostName mid.example.com
  ProxyJump first
  User midconf
Host near
  ProxyJump ignored
  RemoteCommand login
Host loop1
  ProxyJump loop2
Host loop2
  ProxyJump loop1
Host self
  ProxyJump self
Host bad
  ProxyJump checked
Host checked
  KnownHostsCommand /bin/true
Host passed
  RemoteCommand login
  ProxyCommand connect
  ProxyUseFdpass yes
`, func(o *config.LoadOptions) { o.Set = []string{"ConnectTimeout=9"} })
	for _, test := range []struct{ host, jump, want string }{
		{"plain", "", "me@plain:22"},
		// near is reached through mid, as the list says; mid through its own ProxyJump.
		{"target", "", "me@first:22 op@mid.example.com:2200 me@near:22 me@target:22"},
		{"near", "none", "remotecommand"},
		{"target", "none", "me@target:22"},
		{"plain", "a,ssh://b@c:7", "me@a:22 b@c:7 me@plain:22"},
		{"plain", "[::1]:7", "me@::1:7 me@plain:22"},
		{"loop1", "", "loop"},
		{"self", "", "jump host loop by way of"},
		{"bad", "", "knownhostscommand"},
		{"plain", "passed", "proxyusefdpass"},
		{"plain", "a b", "character ' '"},
		{"plain", "$(id)", "character"},
		{"plain", "x;y@a", "user name"},
	} {
		route, err := c.Route(t.Context(), test.host, config.Options{Jump: test.jump})
		if err != nil {
			wantError(t, err, test.want)
			continue
		}
		var hops []string
		for _, r := range route {
			hops = append(hops, fmt.Sprintf("%s@%s:%d", r.User, r.HostName, r.Port))
		}
		if got := strings.Join(hops, " "); got != test.want {
			t.Errorf("to %s by way of %q: %s, want %s", test.host, test.jump, got, test.want)
		}
		if last := route[len(route)-1]; last.ConnectTimeout == 0 || len(route) > 1 && route[0].ConnectTimeout != 0 {
			t.Errorf("to %s: -o options are for the target only", test.host)
		}
	}
}

func TestRouteIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "Host h%d\nProxyJump h%d\n", i, i+1)
	}
	c := load(t, text.String(), nil)
	if route, err := c.Route(t.Context(), "h4", config.Options{}); err != nil || len(route) != 17 {
		t.Errorf("%d hosts: %v", len(route), err)
	}
	_, err := c.Route(t.Context(), "h0", config.Options{})
	wantError(t, err, "more than 16 jump hosts")
	_, err = c.Route(t.Context(), "x", config.Options{Jump: strings.Repeat("j,", 16) + "j"})
	wantError(t, err, "more than 16 jump hosts")
}

func TestJumpsPrintAndParse(t *testing.T) {
	for text, want := range map[string][]config.Jump{
		"none":              nil,
		"a":                 {{Host: "a"}},
		"u@a:7,b":           {{User: "u", Host: "a", Port: 7}, {Host: "b"}},
		"u@x@[fe80::1]:7":   {{User: "u@x", Host: "fe80::1", Port: 7}},
		"ssh://u%40x@a:7/":  {{User: "u@x", Host: "a", Port: 7}},
		"ssh://u;x=y@a":     {{User: "u", Host: "a"}},
		"ssh://u+v@a.b.,c:": {{User: "u v", Host: "a.b"}, {Host: "c"}},
	} {
		got, err := config.ParseJumps(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		for _, j := range got {
			if back, err := config.ParseJumps(j.String()); err != nil || back[0] != j {
				t.Errorf("%v reads back as %v: %v", j, back, err)
			}
		}
	}
	for _, text := range []string{
		"", ",", "a,", "@a", "a:0", "a:99999", "a:x y", "[a", "[a]b", "a/b", "ssh://", "ssh://@a", "ssh://%zz@a", "ssh://a/b", "ssh://-a",
		"ssh://a:b/",
	} {
		if got, err := config.ParseJumps(text); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}

// A proxy command is run by the user's shell as ssh does it, and what its tokens stand for
// cannot become anything else there.
func TestProxyArgv(t *testing.T) {
	const all = "nc -x '%h:%p' %r %n %k 2>/dev/null | tee $HOME/x; %%"
	shell := func(path string) func(*config.LoadOptions) {
		return func(o *config.LoadOptions) {
			o.Local.Getenv = func(name string) (string, bool) { return path, name == "SHELL" }
		}
	}
	for _, c := range []struct{ command, shell, want string }{
		{"none", "/bin/zsh", ""},
		{"nc %h %p", "/bin/zsh", "/bin/zsh|-c|exec nc real%1 7"},
		{"~/bin/proxy %h", "", "/bin/sh|-c|exec ~/bin/proxy real%1"},
		{all, "/bin/zsh", "/bin/zsh|-c|exec nc -x 'real%1:7' u h h 2>/dev/null | tee $HOME/x; %"},
	} {
		r := resolve(t, load(t, "HostName real%%1\nUser u\nPort 7\nProxyCommand "+c.command+"\n", shell(c.shell)), "h")
		argv, err := r.ProxyArgv()
		if got := strings.Join(argv, "|"); err != nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.command, got, err, c.want)
		}
	}

	for _, bad := range []string{
		"-oProxyCommand=x", "$(id)", "`id`", "a;b", "a&b", "a|b", "a<b", "a>b", "a b", "a\nb", "a'b", `a"b`, `a\b`, "a(b", "a{b", "a,b", "a$b", "",
	} {
		c := load(t, "ProxyCommand nc %h %n\n", nil)
		if r, err := c.Resolve(t.Context(), bad, config.Options{}); err == nil {
			t.Errorf("host %q reaches the shell: %q", bad, r.ProxyCommand)
		}
		if strings.ContainsAny(bad, "\n,") || bad == "" {
			continue
		}
		if r, err := c.Resolve(t.Context(), "h", config.Options{User: bad}); err == nil {
			if argv, err := r.ProxyArgv(); err == nil && !strings.ContainsAny(bad, ` $\`) {
				t.Errorf("user %q reaches the shell: %q", bad, argv)
			}
		}
		if c, err := tryLoad(t, "HostKeyAlias "+bad+"\nProxyCommand nc %k\n", nil); err == nil {
			if r, err := c.Resolve(t.Context(), "h", config.Options{}); err == nil && r.HostKeyAlias == bad {
				t.Errorf("alias %q reaches the shell: %q", bad, r.ProxyCommand)
			}
		}
	}
	// The shell would expand it: ssh lets it, we do not.
	r, err := load(t, "ProxyCommand nc -u %r %h\n", nil).Resolve(t.Context(), "h", config.Options{User: "$SECRET"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.ProxyArgv()
	wantError(t, err, "config:1: proxycommand: %r is the user name")
	if r, err = load(t, "ProxyCommand nc %%r %h\n", nil).Resolve(t.Context(), "h", config.Options{User: "$SECRET"}); err != nil {
		t.Fatal(err)
	}
	if argv, err := r.ProxyArgv(); err != nil || argv[2] != "exec nc %r h" {
		t.Errorf("without the token: %q, %v", argv, err)
	}
}
