package config_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"shoal/internal/ssh/config"
)

// zone is a resolver that maps names to canonical names and records its queries.
type zone struct {
	names map[string]string
	asked []string
	err   error
}

func (z *zone) lookup(_ context.Context, name string) (string, bool, error) {
	z.asked = append(z.asked, name)
	if z.err != nil {
		return "", false, z.err
	}
	canonical, ok := z.names[strings.TrimSuffix(name, ".")]
	return canonical, ok, nil
}

func TestCanonicalizeHostname(t *testing.T) {
	const on = "CanonicalizeHostname yes\nCanonicalDomains a.example b.example\n"
	for _, c := range []struct {
		name, config, host string
		want               string // host name, or a part of the error
		asked              string
	}{
		{"off", "CanonicalDomains a.example\n", "web", "web", ""},
		{"first domain", on, "DB", "db.a.example", "db.a.example."},
		{"second domain", on, "web", "web.b.example", "web.a.example. web.b.example."},
		{"too many dots", on, "web.x.y", "web.x.y", ""},
		{
			"more dots allowed", on + "CanonicalizeMaxDots 2\n", "web.x.y", "web.x.y.b.example",
			"web.x.y.a.example. web.x.y.b.example.",
		},
		{"anchored", on, "db.a.example.", "db.a.example", "db.a.example."},
		{"not found", on, "none", "none", "none.a.example. none.b.example."},
		{"no fallback", on + "CanonicalizeFallbackLocal no\n", "none", "not found", "none.a.example. none.b.example."},
		{"proxied", on + "ProxyJump j\n", "web", "web", ""},
		{"proxied, not", on + "ProxyJump none\n", "db", "db.a.example", "db.a.example."},
		{
			"proxied, always", "CanonicalizeHostname always\nCanonicalDomains a.example\nProxyCommand x\n", "db",
			"db.a.example", "db.a.example.",
		},
		{"CNAME not permitted", on, "www", "www.a.example", "www.a.example."},
		{
			"CNAME permitted", on + "CanonicalizePermittedCNAMEs *.a.example:*.cdn.example\n", "www", "node1.cdn.example",
			"www.a.example.",
		},
		{"CNAME elsewhere", on + "CanonicalizePermittedCNAMEs *.a.example:*.other\n", "www", "www.a.example", "www.a.example."},
		{
			"CNAME of a plain name", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*.cdn.example\n", "www.a.example",
			"node1.cdn.example", "www.a.example",
		},
		{"plain name not found", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*\n", "none", "no such host", "none"},
		{"canonical", on + "Match canonical\nHostName later\nHost db.a.example\nUser seen\n", "db", "db.a.example", "db.a.example."},
		{"address", on, "FE80::0:1", "fe80::1", ""},
		{"old address", "", "127.1", "127.0.0.1", ""},
		{"address of the other family", "AddressFamily inet\n", "FE80::1", "FE80::1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := &zone{names: map[string]string{
				"db.a.example": "db.a.example", "web.b.example": "web.b.example", "web.x.y.b.example": "web.x.y.b.example",
				"www.a.example": "node1.cdn.example",
			}}
			cfg := load(t, c.config, func(o *config.LoadOptions) { o.Lookup = z.lookup })
			r, err := cfg.Resolve(t.Context(), c.host, config.Options{})
			if err != nil {
				wantError(t, err, c.want)
			} else if r.HostName != c.want {
				t.Errorf("host name %q, want %q", r.HostName, c.want)
			}
			if c.name == "canonical" && r.User != "seen" {
				t.Errorf("the second pass does not see the new name: user %q", r.User)
			}
			if got := strings.Fields(c.asked); !slices.Equal(z.asked, got) {
				t.Errorf("asked for %q, want %q", z.asked, got)
			}
		})
	}
}

// A failed lookup does not count as a missing name, unless the configuration allows it.
func TestCanonicalizeFailure(t *testing.T) {
	broken := &zone{err: errors.New("resolver is down")}
	c := load(t, "CanonicalizeHostname yes\nCanonicalDomains a\nCanonicalizeFallbackLocal no\n",
		func(o *config.LoadOptions) { o.Lookup = broken.lookup })
	if _, err := c.Resolve(t.Context(), "h", config.Options{}); !errors.Is(err, broken.err) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c = load(t, "CanonicalizeHostname yes\nCanonicalDomains a\n", func(o *config.LoadOptions) { o.Lookup = broken.lookup })
	if _, err := c.Resolve(ctx, "h", config.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
