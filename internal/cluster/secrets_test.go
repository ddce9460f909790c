package cluster

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/simfleet"
)

// forms are what a text looks like as it is, in hexadecimal, and in base64 wherever it stands in what was encoded.
func forms(text string) (list []string) {
	list = []string{text, hex.EncodeToString([]byte(text))}
	for shift := range 3 {
		whole := text[shift:]
		list = append(list, base64.RawStdEncoding.EncodeToString([]byte(whole[:len(whole)/3*3])))
	}
	return list
}

// No secret of a worker or a coordinator is in what NATS stores or carries, nor in what workers note: passwords, the
// passphrase and the text of keys, the seeds of NATS. That the command is there shows that the scan sees.
// faults.md: I06
func TestSecretsStayHere(t *testing.T) {
	const password, sudo, passphrase, plain = "Canary-of-ssh-4711", "Canary-of-sudo-4712", "Canary-passphrase-4713", "plain-to-see-4714"
	s := newSite(t, simfleet.Options{Hosts: 12, Password: password, SudoPassword: sudo, Sudo: func(int) simfleet.Sudo { return simfleet.SudoPlain }})
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s.nkey = write("nkey", seed)
	s.restart(write("hub.conf", fmt.Appendf(nil, "authorization { users: [ { nkey: %s } ] }\n", public)), nil)

	// The run is signed by a key of which all is known here.
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if s.signer, err = xssh.NewSignerFromKey(signing); err != nil {
		t.Fatal(err)
	}
	if s.signers, err = parseSigners(strings.NewReader("ops " + string(xssh.MarshalAuthorizedKey(s.signer.PublicKey())))); err != nil {
		t.Fatal(err)
	}
	fleetKey, err := os.ReadFile(s.connect.Identities[0])
	if err != nil {
		t.Fatal(err)
	}
	// One worker has the fleet's key, encrypted; another has no key, and a password.
	raw, err := xssh.ParseRawPrivateKey(fleetKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	encrypted := write("encrypted", pem.EncodeToMemory(block))
	source := func(text string) auth.Source {
		return func(context.Context) ([]byte, error) { return []byte(text), nil }
	}
	passwords, err := auth.NewPasswords(auth.PasswordOptions{Source: source(password)})
	if err != nil {
		t.Fatal(err)
	}
	// A spy hears all that NATS carries: streams in memory too, and answers.
	key, err := nats.NkeyOptionFromSeed(s.nkey)
	if err != nil {
		t.Fatal(err)
	}
	spy, err := nats.Connect(s.hub.URL(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer spy.Close()
	var mu sync.Mutex
	var carried bytes.Buffer
	if _, err := spy.Subscribe(">", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&carried, "%s %v %s\n", m.Subject, m.Header, m.Data)
	}); err != nil {
		t.Fatal(err)
	}
	if err := spy.Flush(); err != nil {
		t.Fatal(err)
	}
	s.connect.User = "script"
	s.become = &become.Options{User: "root"}
	s.prepare = (*Coordinator).Keep
	var results []fleet.Result
	states := make(map[string]string)
	for name, change := range map[string]func(*connect.Options){
		"key": func(o *connect.Options) {
			o.Identities = []string{encrypted}
			o.Passphrase = func(string) ([]byte, error) { return []byte(passphrase), nil }
		},
		"password": func(o *connect.Options) { o.Identities, o.Passwords = []string{}, passwords },
	} {
		states[name] = t.TempDir()
		leave := s.worker(name, func(o *WorkerOptions) {
			change(&o.Connect)
			o.State = states[name]
			o.BecomePasswords = func(limit time.Duration) (ssh.Passwords, error) {
				return auth.NewBecomePasswords(source(sudo), true, limit)
			}
		})
		list, _ := s.run(t.Context(), "echo "+plain+"; id -un", nil)
		results = append(results, list...)
		leave()
	}
	for _, r := range results {
		if r.Outcome != fleet.OutcomeOK || string(r.Stdout.Bytes) != plain+"\nroot\n" {
			t.Errorf("%v: %v, %s, %v, %q", r.Target.Host, r.Outcome, r.Reason, r.Err, r.Stdout.Bytes)
		}
	}
	if err := spy.Flush(); err != nil {
		t.Fatal(err)
	}
	s.hub.Close() // all is on the disk
	mu.Lock()
	defer mu.Unlock()

	secrets := map[string][]string{
		"the password":                 forms(password),
		"the password of sudo":         forms(sudo),
		"the passphrase":               forms(passphrase),
		"the seed of NATS":             forms(string(seed)),
		"the seed of the signing key":  forms(string(signing.Seed())),
		"the path of the worker's key": forms(encrypted),
	}
	for line := range bytes.Lines(slices.Concat(fleetKey, pem.EncodeToMemory(block))) {
		if line = bytes.TrimSpace(line); len(line) > 60 && !bytes.HasPrefix(line, []byte("-----")) {
			name := "a line of the worker's key"
			secrets[name] = append(secrets[name], string(line[8:len(line)-8]))
		}
	}
	texts := map[string][]byte{"what NATS carried": carried.Bytes()}
	for _, place := range []string{s.store, states["key"], states["password"]} {
		before := len(texts)
		if err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				texts[path], err = os.ReadFile(path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if len(texts) == before {
			t.Errorf("nothing is in %s", place)
		}
	}
	stored := 0
	for place, text := range texts {
		for name, forms := range secrets {
			for _, form := range forms {
				if bytes.Contains(text, []byte(form)) {
					t.Errorf("%s is in %s", name, place)
				}
			}
		}
		for _, form := range forms(plain) {
			if strings.HasPrefix(place, s.store) {
				stored += bytes.Count(text, []byte(form))
			}
		}
	}
	if seen := bytes.Count(carried.Bytes(), []byte(plain)); seen < len(results) || stored < 2*len(results) {
		t.Errorf("%d outputs were carried, and %d commands and outputs stored, of %d hosts", seen, stored, len(results))
	}
	if want := len(secrets["a line of the worker's key"]); want < 4 {
		t.Errorf("%d lines of the keys were looked for", want)
	}
}
