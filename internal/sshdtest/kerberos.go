package sshdtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"shoal/internal/needs"
)

// realm is the Kerberos realm of the tests.
const realm = "SHOAL.TEST"

// A Realm is a running Kerberos realm, with this user and host/127.0.0.1 as principals. The
// environment of the test leads to it, and has the host's keytab for servers that are
// started later.
type Realm struct {
	dir, user string
}

// Kerberos starts a key distribution centre of MIT Kerberos. It changes the test's environment,
// so that the test cannot be parallel.
func Kerberos(t testing.TB) *Realm {
	t.Helper()
	kdc := needs.Program(t, "/usr/sbin/krb5kdc")
	needs.Program(t, "kinit")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	r := &Realm{t.TempDir(), me.Username}
	for name, file := range map[string]string{
		"KRB5_CONFIG": "krb5.conf", "KRB5_KDC_PROFILE": "kdc.conf", "KRB5CCNAME": "ccache", "KRB5_KTNAME": "keytab",
	} {
		t.Setenv(name, filepath.Join(r.dir, file))
	}
	configure := func(port uint16) {
		write(t, filepath.Join(r.dir, "krb5.conf"), fmt.Appendf(nil, `[libdefaults]
 default_realm = %s
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 %s = {
  kdc = %s:%d
 }
[logging]
 kdc = STDERR
`, realm, realm, loopback, port), 0o600)
		write(t, filepath.Join(r.dir, "kdc.conf"), fmt.Appendf(nil, `[kdcdefaults]
 kdc_listen = %s:%d
 kdc_tcp_listen = %s:%d
[realms]
 %s = {
  database_name = %s/db
  key_stash_file = %s/stash
 }
`, loopback, port, loopback, port, realm, r.dir, r.dir), 0o600)
	}
	configure(0)
	r.run(t, "/usr/sbin/kdb5_util", "create", "-s", "-r", realm, "-P", "secret")
	for _, query := range []string{
		"addprinc -randkey " + r.user, "ktadd -k " + filepath.Join(r.dir, "user.keytab") + " " + r.user,
		"addprinc -randkey host/" + loopback, "ktadd -k " + filepath.Join(r.dir, "keytab") + " host/" + loopback,
	} {
		r.run(t, "/usr/sbin/kadmin.local", "-r", realm, "-q", query)
	}
	startOnFreePort(t, r.dir, func(port uint16) launch {
		configure(port)
		return launch{argv: []string{kdc, "-n", "-r", realm}, up: "commencing operation", busy: "Address already in use"}
	})
	return r
}

// Login gets this user a ticket.
func (r *Realm) Login(t testing.TB) {
	t.Helper()
	r.run(t, "kinit", "-k", "-t", filepath.Join(r.dir, "user.keytab"), r.user)
}

// Logout destroys the ticket.
func (r *Realm) Logout(t testing.TB) {
	t.Helper()
	if err := os.Remove(filepath.Join(r.dir, "ccache")); err != nil {
		t.Fatal(err)
	}
}

func (r *Realm) run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), needs.Program(t, program), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}
