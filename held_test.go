package shoal_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/internal/sshdtest"
)

var heldFor = flag.Duration("held-for", 0, "how long TestServersHold goes on: a command every 10 s on each connection")

// Real servers keep a connection for as long as it takes: idle, asked by keepalives from both sides, and
// through key exchanges that either side begins. Every command runs once and on the first connection.
func TestServersHold(t *testing.T) {
	t.Parallel()
	servers := map[string]*sshdtest.Server{
		"OpenSSH":                 sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxSessions 1")),
		"OpenSSH, alive and keys": sshdtest.OpenSSH(t, sshdtest.WithConfig("ClientAliveInterval 3", "RekeyLimit default 20s")),
		"Dropbear":                sshdtest.Dropbear(t),
		"Dropbear, alive":         sshdtest.Dropbear(t, sshdtest.WithArgs("-K", "3")),
	}
	for name, s := range servers {
		for which, set := range map[string][]string{"quiet": nil, "alive": {"ServerAliveInterval=2", "RekeyLimit=default 30s"}} {
			t.Run(name+"/"+which, func(t *testing.T) {
				t.Parallel()
				holds(t, s, set)
			})
		}
	}
}

// holds runs commands on one connection to s until heldFor is over.
func holds(t *testing.T, s *sshdtest.Server, set []string) {
	opts := shoal.Options{
		Config: shoal.Config{File: "none", Set: set}, HostKeys: shoal.HostKeys{Files: []string{s.KnownHosts}},
		Login: shoal.Login{Identities: []string{s.KeyFile}, Agent: shoal.NoAgent},
	}
	pool, err := shoal.NewPool(opts, shoal.Hold{MaxAge: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	var age time.Duration
	began := time.Now()
	for n := 0; n < 3 || time.Since(began) < *heldFor; n++ {
		if n > 2 {
			time.Sleep(10 * time.Second) // what is tested is that time passes
		}
		targets, err := shoal.Hosts(fmt.Sprintf("%s@%s:%d", s.User, s.Host.Name, s.Host.Port))
		if err != nil {
			t.Fatal(err)
		}
		results := collect(t, pool.Run(t.Context(), targets, fmt.Sprintf("echo %d", n)))
		res := results[0]
		if c := res.Connection; res.Outcome != fleet.OutcomeOK || strings.TrimSpace(string(res.Stdout.Bytes)) != fmt.Sprint(n) || c == nil || c.Held != (n > 0) {
			t.Fatalf("command %d, after %v: %v(%s) %q, connection %+v: %v", n, time.Since(began), res.Outcome, res.Reason, res.Stdout.Bytes, c, res.Err)
		} else if c.Held {
			age = c.Age
		}
	}
	t.Logf("held for %v", age.Round(time.Second))
}
