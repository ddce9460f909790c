package hub_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/cluster/hub"
	"shoal/internal/cluster/site"
)

// What others reach has TLS and credentials, and no other doors.
func TestDoors(t *testing.T) {
	dir := t.TempDir()
	s := site.Site{Dir: dir, Names: []string{"127.0.0.1"}}
	if _, err := s.Make(); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(filepath.Join(dir, site.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	withoutUsers := strings.Split(string(made), "max_payload")[0]
	withUsers := withoutUsers + "authorization { users: [{user: u, password: p}] }\n"
	for name, c := range map[string]struct{ config, listen, want string }{
		"no TLS":         {"authorization { users: [{user: u, password: p}] }", "0.0.0.0:0", "could be used by everybody"},
		"no users":       {withoutUsers, "0.0.0.0:0", "could be used by everybody"},
		"no credentials": {withUsers + "no_auth_user: u\n", "0.0.0.0:0", "could be used without credentials"},
		"plain too":      {strings.Replace(withUsers, "tls {", "allow_non_tls: true\ntls {", 1), "0.0.0.0:0", "could be spoken to without TLS"},
		"monitoring":     {"http_port: 8222\n", "127.0.0.1:0", "monitoring"},
		"profiles":       {"prof_port: 8223\n", "127.0.0.1:0", "profiles"},
		"gateway":        {"gateway { name: g, port: 7222 }\n", "127.0.0.1:0", "gateway"},
	} {
		config := filepath.Join(t.TempDir(), "hub.conf")
		if err := os.WriteFile(config, []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := hub.Start(hub.Options{Listen: c.listen, Dir: t.TempDir(), Config: config})
		if err == nil {
			h.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
