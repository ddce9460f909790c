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
  CheckHostIP yes
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
		{"bad", "", "checkhostip"},
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

func TestProxyArgv(t *testing.T) {
	for command, want := range map[string]string{
		`none`:                        "",
		`nc %h %p`:                    "nc|ho st|7",
		`exec  nc	-x "%h:%p" '%r "$'`: `nc|-x|ho st:7|u "$`,
		`"my nc" a\ b "c\"d\e" '' %%`: `my nc|a b|c"d\e||%`,
		`nc --opt=%h ~user@x a#b`:     "needs a shell",
		`nc --opt=%h a~b a#b a!b`:     "nc|--opt=ho st|a~b|a#b|a!b",
		`nc %h 2>/dev/null`:           "needs a shell",
		`nc $HOME`:                    "needs a shell",
		`nc %h | tee x`:               "needs a shell",
		`sh -c "echo $HOME"`:          "needs a shell",
		"nc `id`":                     "needs a shell",
		`A=b nc`:                      "needs a shell",
		`nc *`:                        "needs a shell",
		`nc # x`:                      "needs a shell",
		`nc '\''`:                     "no closing quote",
		`""`:                          "",
	} {
		c := load(t, "HostName ho%%st\nUser u\nPort 7\nProxyCommand "+command+"\n", nil)
		r := resolve(t, c, "h")
		argv, err := r.ProxyArgv()
		want := strings.ReplaceAll(want, "ho st", "ho%st")
		if err != nil {
			wantError(t, err, want, "config:4: proxycommand")
		} else if got := strings.Join(argv, "|"); got != want || command == "none" && argv != nil {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}
