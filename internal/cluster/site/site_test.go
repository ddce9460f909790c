package site_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/cluster"
	"shoal/internal/cluster/hub"
	"shoal/internal/cluster/site"
	"shoal/internal/connect"
	"shoal/simfleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// make makes a site with workers of two pools and starts its hub.
func makeSite(t *testing.T) (dir, url string) {
	t.Helper()
	dir = t.TempDir()
	first := site.Site{Dir: dir, Names: []string{"127.0.0.1"}, Workers: []string{"eu/one"}}
	if made, err := first.Make(); err != nil || len(made) != 7 {
		t.Fatalf("made %v: %v", made, err)
	}
	again := site.Site{Dir: dir, Workers: []string{"eu/two", "us/one"}}
	if made, err := again.Make(); err != nil || !slices.Equal(made, []string{"worker.eu.two.nk", "worker.us.one.nk", "hub.conf"}) {
		t.Fatalf("made %v: %v", made, err)
	}
	h, err := hub.Start(hub.Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), Config: filepath.Join(dir, site.ConfigFile)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return dir, "tls://" + h.URL()[strings.Index(h.URL(), "//")+2:]
}

// dial connects without shoal.
func dial(t *testing.T, dir, url, seed, inbox string, denied func(error)) *nats.Conn {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(dir, seed))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, key, nats.RootCAs(filepath.Join(dir, site.CAFile)), nats.CustomInboxPrefix(inbox),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied(err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Runs go through with the permissions that are made, in both pools, and nobody is refused anything.
func TestRunWithPermissions(t *testing.T) {
	dir, url := makeSite(t)
	runThrough(t, dir, url)
}

// The same with a nats-server that is a program of its own, as a site that has NATS runs it.
func TestRunThroughNATSServer(t *testing.T) {
	dir := t.TempDir()
	first := site.Site{Dir: dir, Names: []string{"127.0.0.1"}, Workers: []string{"eu/one", "eu/two", "us/one"}}
	if _, err := first.Make(); err != nil {
		t.Fatal(err)
	}
	// What docs/workers.md has a site add.
	config := filepath.Join(dir, site.ConfigFile)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "jetstream { store_dir: %q, sync_interval: always }\n", t.TempDir())
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	runThrough(t, dir, "tls://"+startNATS(t, "-c", config, "-n", "a", "-a", "127.0.0.1", "-p", "-1"))
}

// startNATS builds nats-server from the module that shoal uses, starts it, and returns its address.
func startNATS(t *testing.T, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "nats-server")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("building nats-server: %v: %s", err, out)
	}
	cmd := exec.Command(program, args...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, read := make(chan string, 1), make(chan struct{})
	go func() { // ends with the program
		defer close(read)
		defer close(address)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			t.Log(lines.Text())
			if _, at, ok := strings.Cut(lines.Text(), "Listening for client connections on "); ok {
				address <- at
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	at, ok := <-address
	if !ok {
		t.Fatal("nats-server does not serve")
	}
	return at
}

// runThrough runs a command on hosts of two pools, through three workers, with the files of a site.
func runThrough(t *testing.T, dir, url string) {
	t.Helper()
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 60})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	keys := t.TempDir()
	o := connect.Options{User: "someone", SSHConfig: "none", Agent: connect.NoAgent, Identities: []string{filepath.Join(keys, "key")}, KnownHosts: []string{filepath.Join(keys, "known_hosts")}}
	for path, write := range map[string]func(io.Writer) error{o.Identities[0]: f.WriteKey, o.KnownHosts[0]: f.WriteKnownHosts} {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(write(file), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	allowed := filepath.Join(keys, "signers")
	if err := os.WriteFile(allowed, append([]byte("ops "), xssh.MarshalAuthorizedKey(signer.PublicKey())...), 0o600); err != nil {
		t.Fatal(err)
	}
	signers, err := cluster.ReadSigners(allowed)
	if err != nil {
		t.Fatal(err)
	}
	notice := func(text string) {
		if strings.Contains(strings.ToLower(text), "permission") || strings.Contains(text, "ALARM") {
			t.Error(text)
		}
	}
	connectAs := func(seed, inbox string) *cluster.Conn {
		c, err := cluster.Connect(cluster.ConnectOptions{URL: url, NKey: filepath.Join(dir, seed), CA: filepath.Join(dir, site.CAFile), Inbox: inbox, Notice: notice})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	leave := make(chan struct{})
	var workers sync.WaitGroup
	for _, w := range []struct{ pool, name string }{{"eu", "one"}, {"eu", "two"}, {"us", "one"}} {
		conn := connectAs(site.WorkerFile(w.pool, w.name), cluster.WorkerInbox(w.pool, w.name))
		made, err := cluster.NewWorker(conn, cluster.WorkerOptions{Pool: w.pool, Name: w.name, Signers: signers, Connect: o, Room: 15, Notice: notice})
		if err != nil {
			t.Fatal(err)
		}
		workers.Go(func() {
			if err := made.Run(t.Context(), leave); err != nil {
				t.Error(err)
			}
		})
	}
	defer workers.Wait()
	defer close(leave)
	conn := connectAs(site.CoordinatorFile, "")
	c, err := cluster.NewCoordinator(conn, cluster.CoordinatorOptions{Signer: signer, ShardSize: 5, Notice: notice})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(t.Context(), "run-1"); err != nil {
		t.Fatal(err)
	}
	via := connect.Options{User: o.User, SSHConfig: "none"}
	e := &via.Engine
	e.Dialer, e.Attempts, e.Starts, e.Fanout, e.Targets = c, 1, -1, 60, 60
	var results []fleet.Result
	for res, err := range connect.Run(t.Context(), via, pooled(f), "echo {index}") {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	c.Close()
	if signs, err := conn.Workers(t.Context()); err != nil || len(signs) != 3 {
		t.Errorf("%d workers: %v", len(signs), err)
	}
	_ = f.Close()
	if report := simfleet.Check(f.Log(), slices.Values(results), 60); !report.OK() || report.Outcomes[fleet.OutcomeOK] != 60 {
		t.Error(report, report.Outcomes)
	}
}

// inPool is the attributes of a host.
type inPool string

func (p inPool) Attr(name string) (string, bool) { return string(p), name == "pool" }

func pooled(f *simfleet.Fleet) func(func(fleet.Target) bool) {
	return func(yield func(fleet.Target) bool) {
		for t := range f.Targets() {
			t.Attrs = inPool([]string{"eu", "us"}[t.Index%2])
			if !yield(t) {
				return
			}
		}
	}
}

// What permissions keep a stolen credential from.
func TestPermissionsRefuse(t *testing.T) {
	dir, url := makeSite(t)
	for name, c := range map[string]struct {
		seed, inbox string
		publish     []string
		subscribe   []string
	}{
		"worker": {site.WorkerFile("eu", "one"), cluster.WorkerInbox("eu", "one"), []string{
			"log.eu.r.0.two",    // a record of another worker
			"log.eu.r.0.@",      // of a coordinator
			"log.us.r.0.one",    // in another pool
			"late.eu.r.0.two",   //
			"beat.eu.two",       // a sign of life of another
			"ask.eu.r.two",      //
			"free.us.one",       //
			"control.eu.r",      // stops a run
			"work.eu.r.0",       //
			"data.eu.r.d",       //
			"_INBOX.w.eu.two.x", // an answer to another
			"_INBOX.c.x",        // to a coordinator
			"$JS.API.STREAM.INFO.SHOAL_RUN_r", "$JS.API.STREAM.DELETE.SHOAL_RUN_r", "$JS.API.STREAM.PURGE.SHOAL_RUN_r", "$JS.API.STREAM.CREATE.X",
			"$JS.API.STREAM.MSG.GET.SHOAL_RUN_r", "$JS.API.DIRECT.GET.SHOAL_RUN_r",
			"$JS.API.CONSUMER.CREATE.SHOAL_RUN_r", "$JS.API.CONSUMER.CREATE.SHOAL_RUN_r.c", "$JS.API.CONSUMER.CREATE.SHOAL_RUN_r.c.log.us.>",
			"$JS.API.CONSUMER.DURABLE.CREATE.SHOAL_RUN_r.c", "$JS.API.CONSUMER.MSG.NEXT.SHOAL_RUN_r.c", "$JS.API.CONSUMER.MSG.NEXT.SHOAL_WORK.pool-us",
			"$JS.ACK.SHOAL_WORK.pool-us.1.1.1.1.1",
		}, []string{"log.>", "log.eu.>", "late.>", "data.eu.>", "beat.>", "ask.eu.>", "_INBOX.>", "_INBOX.w.eu.two.>", "control.us.>", "$JS.API.>", ">"}},
		"coordinator": {site.CoordinatorFile, cluster.CoordinatorInbox, []string{
			"log.eu.r.0.one", "late.eu.r.0.one", "beat.eu.one", "ask.eu.r.one", "free.eu.one",
			"$JS.API.STREAM.UPDATE.SHOAL_RUN_r", "$JS.API.STREAM.PURGE.SHOAL_RUN_r", "$JS.API.STREAM.MSG.DELETE.SHOAL_RUN_r",
		}, []string{"_INBOX.>", "_INBOX.w.>", "$SYS.>"}},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			refused := make(map[string]bool)
			nc := dial(t, dir, url, c.seed, c.inbox, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				refused[err.Error()] = true
			})
			for _, subject := range c.publish {
				if err := nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, subject := range c.subscribe {
				if _, err := nc.SubscribeSync(subject); err != nil {
					t.Fatal(err)
				}
			}
			count := func() int { mu.Lock(); defer mu.Unlock(); return len(refused) }
			for deadline := time.Now().Add(10 * time.Second); count() < len(c.publish)+len(c.subscribe) && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
				if err := nc.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all := strings.Join(slices.Collect(func(yield func(string) bool) {
				for text := range refused {
					if !yield(text) {
						return
					}
				}
			}), "\n")
			for _, subject := range slices.Concat(c.publish, c.subscribe) {
				if !strings.Contains(all, `"`+subject+`"`) {
					t.Errorf("%s is allowed", subject)
				}
			}
		})
	}
	if _, err := cluster.Connect(cluster.ConnectOptions{URL: url, CA: filepath.Join(dir, site.CAFile)}); err == nil {
		t.Error("connected without a credential")
	}
	if _, err := cluster.Connect(cluster.ConnectOptions{URL: url, NKey: filepath.Join(dir, site.CoordinatorFile)}); err == nil {
		t.Error("connected to a server with the certificate of an authority that is not known")
	}
}

// A worker cannot read another pool by a consumer whose subject says one thing and whose body another.
func TestReadsOwnPoolOnly(t *testing.T) {
	dir, url := makeSite(t)
	ignore := func(error) {}
	boss := dial(t, dir, url, site.CoordinatorFile, cluster.CoordinatorInbox, ignore)
	worker := dial(t, dir, url, site.WorkerFile("eu", "one"), cluster.WorkerInbox("eu", "one"), ignore)
	ask := func(nc *nats.Conn, subject, body string) string {
		m, err := nc.Request("$JS.API."+subject, []byte(body), 5*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		return string(m.Data)
	}
	if got := ask(boss, "STREAM.CREATE.SHOAL_RUN_r", `{"name":"SHOAL_RUN_r","subjects":["log.*.r.*.*"],"max_consumers":-1}`); strings.Contains(got, `"error"`) {
		t.Fatal(got)
	}
	for config, allowed := range map[string]bool{
		`"filter_subject":"log.eu.r.0.*"`:               true,
		`"filter_subject":"log.us.r.0.*"`:               false,
		`"filter_subjects":["log.us.>"]`:                false,
		`"filter_subjects":["log.eu.r.0.*","log.us.>"]`: false,
		`"description":"all"`:                           false,
	} {
		body := `{"stream_name":"SHOAL_RUN_r","config":{"name":"c","ack_policy":"none","deliver_subject":"` + cluster.WorkerInbox("eu", "one") + `.d",` + config + `}}`
		if got := ask(worker, "CONSUMER.CREATE.SHOAL_RUN_r.c.log.eu.r.0.*", body); strings.Contains(got, `"error"`) == allowed {
			t.Errorf("%s: %s", config, got)
		}
	}
}

// Beyond loopback nobody is spoken to without TLS and credentials.
func TestBeyondLoopback(t *testing.T) {
	for url, says := range map[string]string{
		"nats://192.0.2.1:4222":                       "write tls://",
		"tls://192.0.2.1:4222":                        "shoal-hub init",
		"tls://nats.example.org:4222":                 "--nats-nkey",
		"nats://127.0.0.1:4222,nats://192.0.2.1:4222": "write tls://",
		"tls://user:secret@192.0.2.1:4222":            "--nats-creds",
	} {
		_, err := cluster.Connect(cluster.ConnectOptions{URL: url})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// What init makes for three servers works: each with the same files, a log that is on all of them, and a
// server that comes without a certificate of the authority is none of them.
func TestThreeServers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("each server has an address of its own in 127.0.0.0/8")
	}
	dir := t.TempDir()
	names := []string{"127.66.0.1", "127.66.0.2", "127.66.0.3"}
	l, err := net.Listen("tcp", net.JoinHostPort(names[0], "0"))
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close() // nobody else is on these addresses
	s := site.Site{Dir: dir, Names: names, Workers: []string{"eu/one"}, Cluster: true, Port: port}
	if _, err := s.Make(); err != nil {
		t.Fatal(err)
	}
	again := site.Site{Dir: dir, Workers: []string{"eu/two"}} // the cluster stays
	if _, err := again.Make(); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, name := range names {
		h, err := hub.Start(hub.Options{Listen: name + ":0", Dir: t.TempDir(), Config: filepath.Join(dir, site.ConfigFile), Name: "server-" + name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		urls = append(urls, "tls://"+h.URL()[strings.Index(h.URL(), "//")+2:])
	}
	conn, err := cluster.Connect(cluster.ConnectOptions{URL: strings.Join(urls, ","), NKey: filepath.Join(dir, site.CoordinatorFile), CA: filepath.Join(dir, site.CAFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.NewCoordinator(conn, cluster.CoordinatorOptions{Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Begin(t.Context(), "run-1"); err != nil {
		t.Fatal(err)
	}
	boss := dial(t, dir, urls[0], site.CoordinatorFile, cluster.CoordinatorInbox, func(error) {})
	m, err := boss.Request("$JS.API.STREAM.INFO.SHOAL_RUN_run-1", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Config struct {
			Replicas int `json:"num_replicas"`
		}
		Cluster struct{ Replicas []struct{ Name string } }
	}
	if err := json.Unmarshal(m.Data, &info); err != nil || info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
		t.Errorf("%s: %v", m.Data, err)
	}
}

// A cluster that anybody could join, and one server of it without a name, are refused.
func TestClusterRefused(t *testing.T) {
	for config, says := range map[string]string{
		"cluster { name: shoal, listen: \"0.0.0.0:6222\" }":   "everybody who reaches",
		"cluster { name: shoal, listen: \"127.0.0.1:6222\" }": "has no name",
	} {
		path := filepath.Join(t.TempDir(), "hub.conf")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		o := hub.Options{Dir: t.TempDir(), Config: path}
		if strings.Contains(config, "0.0.0.0") {
			o.Name = "one"
		}
		if h, err := hub.Start(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", config, err)
			if err == nil {
				h.Close()
			}
		}
	}
	s := site.Site{Dir: t.TempDir(), Names: []string{"a", "b"}, Cluster: true}
	if _, err := s.Make(); err == nil || !strings.Contains(err.Error(), "a cluster of 2 servers") {
		t.Errorf("two servers: %v", err)
	}
}
