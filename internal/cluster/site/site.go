// Package site makes what a NATS server for shoal needs outside loopback: certificates, NKeys,
// and a configuration in which each worker has permissions of its own.
package site

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"shoal/internal/cluster"
	"shoal/internal/hint"
)

// The names of the files.
const (
	ConfigFile      = "hub.conf"
	ClusterFile     = "cluster.conf"
	CAFile          = "ca.crt"
	CoordinatorFile = "coordinator.nk"

	caKey, serverCert, serverKey = "ca.key", "server.crt", "server.key"
)

// WorkerFile is the file with a worker's seed.
func WorkerFile(pool, name string) string { return "worker." + pool + "." + name + ".nk" }

var workerFile = regexp.MustCompile(`^worker\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.nk$`)

// A Site is what Make makes.
type Site struct {
	Dir string
	// Names are the names and addresses of the server, for its certificate.
	Names []string
	// Workers are POOL/NAME; those whose seeds are in Dir stay.
	Workers []string
	// Cluster means that Names are those of servers that form a cluster. That stays too.
	Cluster bool
	// Port is where the servers of a cluster listen for each other. 0 means 6222.
	Port uint16
}

// Make makes what is missing in Dir, and writes the configuration anew. It returns the names of the files
// that are new, in order.
func (s *Site) Make() (made []string, err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the site: %w", err)
	}
	for _, w := range s.Workers {
		pool, name, _ := strings.Cut(w, "/")
		if !workerFile.MatchString(WorkerFile(pool, name)) {
			return nil, hint.Wrap(fmt.Errorf("the worker %.80q has no pool or no name of letters, digits, - and _", w), "it looks like eu/one")
		}
	}
	certificates, err := s.certificates()
	if err != nil {
		return nil, fmt.Errorf("making the site: %w", err)
	}
	made = certificates
	seeds := []string{CoordinatorFile}
	for _, w := range s.Workers {
		pool, name, _ := strings.Cut(w, "/")
		seeds = append(seeds, WorkerFile(pool, name))
	}
	for _, file := range seeds {
		isNew, err := s.seed(file)
		if err != nil {
			return nil, fmt.Errorf("making the site: %w", err)
		}
		if isNew {
			made = append(made, file)
		}
	}
	if s.Cluster {
		if err := s.cluster(); err != nil {
			return nil, fmt.Errorf("making the site: %w", err)
		}
		made = append(made, ClusterFile)
	}
	if err := s.configure(); err != nil {
		return nil, fmt.Errorf("making the site: %w", err)
	}
	return append(made, ConfigFile), nil
}

func (s *Site) path(file string) string { return filepath.Join(s.Dir, file) }

// seed makes an NKey, unless it is there.
func (s *Site) seed(file string) (isNew bool, err error) {
	if _, err := os.Stat(s.path(file)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return false, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(s.path(file), append(seed, '\n'), 0o600)
}

func (s *Site) public(file string) (string, error) {
	seed, err := os.ReadFile(s.path(file))
	if err != nil {
		return "", err
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return "", fmt.Errorf("the seed in %s: %w", file, err)
	}
	return pair.PublicKey()
}

// configure writes the configuration for all seeds that are there.
func (s *Site) configure() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by shoal-hub init, which writes it anew for the *.nk that are here.\n"+
		"tls { cert_file: %q, key_file: %q }\nmax_payload: 1MB\naccounts { SHOAL { jetstream: enabled, users: [\n", s.path(serverCert), s.path(serverKey))
	for _, e := range entries {
		var p cluster.Permissions
		if m := workerFile.FindStringSubmatch(e.Name()); m != nil {
			p = cluster.WorkerPermissions(m[1], m[2])
		} else if e.Name() == CoordinatorFile {
			p = cluster.CoordinatorPermissions()
		} else {
			continue
		}
		public, err := s.public(e.Name())
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  # %s\n  { nkey: %s, permissions: {\n    publish: { allow: [%s] }\n    subscribe: { allow: [%s] } } }\n", e.Name(), public, quoted(p.Publish), quoted(p.Subscribe))
	}
	b.WriteString("] } }\n")
	if _, err := os.Stat(s.path(ClusterFile)); err == nil {
		fmt.Fprintf(&b, "include %q\n", ClusterFile)
	}
	return os.WriteFile(s.path(ConfigFile), b.Bytes(), 0o600)
}

// cluster writes the part of the configuration that says who the servers are.
func (s *Site) cluster() error {
	if n := len(s.Names); n < 3 || n%2 == 0 {
		return hint.Wrap(fmt.Errorf("a cluster of %d servers", n), "three of them go on without one, five without two: --host names each")
	}
	port := cmp.Or(s.Port, 6222)
	routes := make([]string, len(s.Names))
	for i, name := range s.Names {
		routes[i] = "tls://" + net.JoinHostPort(name, fmt.Sprint(port))
	}
	return os.WriteFile(s.path(ClusterFile), fmt.Appendf(nil, "# Written by shoal-hub init --cluster.\n"+
		"cluster { name: shoal, port: %d\n  tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true, timeout: 5 }\n  routes: [%s]\n}\n",
		port, s.path(serverCert), s.path(serverKey), s.path(CAFile), quoted(routes)), 0o600)
}

func quoted(subjects []string) string {
	list := make([]string, len(subjects))
	for i, s := range subjects {
		list[i] = `"` + s + `"`
	}
	return strings.Join(list, ", ")
}

const validity = 5 * 365 * 24 * time.Hour

// certificates makes an authority and the server's certificate. That of the server is made anew where
// it lacks a name.
func (s *Site) certificates() (made []string, err error) {
	authority, key, err := s.read(CAFile, caKey)
	if errors.Is(err, fs.ErrNotExist) {
		authority, key, err = s.certify(CAFile, caKey, &x509.Certificate{
			Subject: pkix.Name{CommonName: "shoal site"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, nil, nil)
		made = append(made, CAFile, caKey)
	}
	if err != nil {
		return nil, err
	}
	names := slices.Clone(s.Names)
	server, _, err := s.read(serverCert, serverKey)
	switch {
	case err == nil:
		known := slices.Clone(server.DNSNames)
		for _, ip := range server.IPAddresses {
			known = append(known, ip.String())
		}
		if !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(known, n) }) {
			return made, nil
		}
		names = append(names, known...)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case len(names) == 0:
		return nil, hint.New("the server's certificate needs a name", "--host names the machine as workers will write it")
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	_, _, err = s.certify(serverCert, serverKey, template, authority, key)
	return append(made, serverCert, serverKey), err
}

// certify makes a key, and a certificate that parent signs; nil means the key itself.
func (s *Site) certify(cert, keyFile string, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, by = template, key
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(
		os.WriteFile(s.path(keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		os.WriteFile(s.path(cert), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
	); err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}

func (s *Site) read(cert, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(s.path(cert))
	if err != nil {
		return nil, nil, err
	}
	private, err := os.ReadFile(s.path(keyFile))
	if err != nil {
		return nil, nil, err
	}
	certBlock, _ := pem.Decode(text)
	keyBlock, _ := pem.Decode(private)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("%s or %s is not PEM", cert, keyFile)
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not a key of ours", keyFile)
	}
	return parsed, ec, nil
}
