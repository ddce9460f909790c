package config_test

import (
	"testing"

	"shoal/internal/ssh/config"
)

func TestOptionsOfOneHost(t *testing.T) {
	c := load(t, "Host web\n User conf\n ConnectTimeout 5\n", func(o *config.LoadOptions) { o.Set = []string{"ConnectTimeout=9"} })
	for range 2 {
		route, err := c.Route(t.Context(), "web", config.Options{Set: []string{"User=own", "ConnectTimeout=7", "ProxyJump=me@gate", "Ciphers aes256-ctr"}})
		if err != nil {
			t.Fatal(err)
		}
		gate, web := route[0], route[len(route)-1]
		if len(route) != 2 || gate.User != "me" || gate.HostName != "gate" || len(gate.Ciphers) == 1 {
			t.Errorf("the jump host is %+v", gate)
		}
		if web.User != "own" || web.ConnectTimeout.Seconds() != 9 || len(web.Ciphers) != 1 {
			t.Errorf("user %q, timeout %v, ciphers %q", web.User, web.ConnectTimeout, web.Ciphers)
		}
	}
	if r, err := c.Resolve(t.Context(), "web", config.Options{}); err != nil || r.User != "conf" {
		t.Errorf("without options: %v, %v", r, err)
	}
	_, err := c.Resolve(t.Context(), "web", config.Options{Set: []string{"User=x", "Prot=22", "Port=x"}})
	wantError(t, err, "the host's own options", "prot", "unknown keyword", "port")
}
