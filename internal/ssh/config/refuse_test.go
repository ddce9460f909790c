package config_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"shoal/internal/ssh/config"
)

// faults.md: I11
func TestRefusedKeywords(t *testing.T) {
	for line, keyword := range map[string]string{
		"KnownHostsCommand /bin/true":                "knownhostscommand",
		"PKCS11Provider /lib/x.so":                   "pkcs11provider",
		"SmartcardDevice /lib/x.so":                  "pkcs11provider",
		"RemoteCommand tmux":                         "remotecommand",
		"SessionType none":                           "sessiontype",
		"RefuseConnection not from here":             "refuseconnection",
		"ProxyCommand x\nHost *\nProxyUseFdpass yes": "proxyusefdpass",
	} {
		c := load(t, "Host web\n"+line+"\n", nil)
		_, err := c.Resolve(t.Context(), "web", config.Options{})
		wantError(t, err, ": "+keyword+": ")
		at := 2 + strings.Count(line, "\n")
		if p, ok := errors.AsType[*config.Problem](err); !ok || p.Line != at || p.Keyword != keyword {
			t.Errorf("%q: problem %v", line, err)
		}
		if _, err := c.Resolve(t.Context(), "other", config.Options{}); err != nil && !strings.Contains(line, "Fdpass") {
			t.Errorf("%q: a host that it does not apply to: %v", line, err)
		}
		if name, _, _ := strings.Cut(line, " "); keyword != "refuseconnection" && !strings.Contains(line, "\n") {
			_, hint, _ := strings.Cut(err.Error(), "hint: -o ")
			option, _, _ := strings.Cut(hint, " ")
			if _, err := load(t, "Host web\n"+line+"\n", func(o *config.LoadOptions) { o.Set = []string{option} }).
				Resolve(t.Context(), "web", config.Options{}); err != nil {
				t.Errorf("%s: what the hint says does not help: %v", name, err)
			}
		}
	}
	harmless := "KnownHostsCommand none\nPKCS11Provider None\nRemoteCommand none\n" +
		"SessionType default\nProxyUseFdpass yes\n"
	resolve(t, load(t, harmless, nil), "h")
}

// What is stricter than asked, or not built, is said and not refused (cases 22, 23, 33). Each
// line applies to its host alone.
func TestReportedKeywords(t *testing.T) {
	const web, local = "web", "127.0.0.1"
	for _, c := range []struct{ line, host, want string }{
		{"CheckHostIP yes", web, "CheckHostIP yes (FILE:2) has no effect: host keys are looked up by the host's name alone"},
		{"CheckHostIP no", web, ""},
		{"VerifyHostKeyDNS yes", web, "VerifyHostKeyDNS yes (FILE:2) has no effect: host keys are looked up in known_hosts alone"},
		{"VerifyHostKeyDNS ask", web, "VerifyHostKeyDNS ask (FILE:2) has no effect: host keys are looked up in known_hosts alone"},
		{"VerifyHostKeyDNS no", web, ""},
		{"GSSAPITrustDNS yes", web, "GSSAPITrustDNS yes (FILE:2) has no effect: Kerberos looks up host names as krb5.conf says"},
		{"NoHostAuthenticationForLocalhost yes", web, ""},
		{
			"NoHostAuthenticationForLocalhost yes", local,
			"NoHostAuthenticationForLocalhost yes (FILE:2) has no effect: this machine's host key is checked like all others",
		},
		{"NoHostAuthenticationForLocalhost no", local, ""},
		{"ChannelTimeout session=5m", web, "ChannelTimeout session=5m (FILE:2) has no effect: see --command-timeout"},
		{"ChannelTimeout none", web, ""},
		{"PermitLocalCommand yes\nLocalCommand id", web, "LocalCommand (FILE:3) has no effect: no command is run here"},
		{"LocalCommand id", web, ""},
		{"RemoteForward 80 a:80", web, "RemoteForward (FILE:2) has no effect: no port is forwarded"},
		{"RemoteForward 80 a:80\nClearAllForwardings yes", web, ""},
	} {
		r := resolve(t, load(t, "Host "+c.host+"\n"+c.line+"\n", nil), c.host)
		var got string
		for _, n := range r.Notices() {
			got += regexp.MustCompile(`/\S*config:`).ReplaceAllString(n.Text, "FILE:")
		}
		if got != c.want {
			t.Errorf("%s: notices %q, want %q", c.line, got, c.want)
		}
		if r := resolve(t, load(t, "Host "+c.host+"\n"+c.line+"\n", nil), "other"); len(r.Notices()) != 0 {
			t.Errorf("%s: a host that it does not apply to: %q", c.line, r.Notices())
		}
	}
}

// What ssh would do and has no use here can be seen by those who ask.
func TestUnused(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"Compression yes", "compression yes (FILE:2)"},
		{"Compression no", ""},
		{"IPQoS lowdelay throughput", "ipqos lowdelay throughput (FILE:2)"},
		{"IPQoS af21 cs1", ""},
		{"LocalForward 80 a:80", "localforward (FILE:2)"},
		{"DynamicForward 1080", "dynamicforward (FILE:2)"},
		{"LocalForward 80 a:80\nLocalForward 81 a:80\nDynamicForward 1080", "dynamicforward (FILE:4), localforward (FILE:2)"},
		{"LocalForward 80 a:80\nClearAllForwardings yes", ""},
		{"ForwardX11 yes\nForwardX11Trusted no", "forwardx11 yes (FILE:2)"},
		{"GSSAPIKeyExchange yes", "gssapikeyexchange yes (FILE:2)"},
		{"GSSAPIKeyExchange no", ""},
		{"Protocol 2\nUpdateHostKeys yes\nAddKeysToAgent no\nCiphers aes128-ctr\nCheckHostIP yes", ""},
		{"ControlMaster auto\nControlPersist 10m", "controlmaster auto (FILE:2), controlpersist 600 (FILE:3)"},
	} {
		r := resolve(t, load(t, "Host web\n"+c.line+"\n", nil), "web")
		var got []string
		for _, n := range r.Unused() {
			got = append(got, regexp.MustCompile(`/\S*config:`).ReplaceAllString(n.Text, "FILE:"))
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
		if r := resolve(t, load(t, "Host web\n"+c.line+"\n", nil), "other"); len(r.Unused()) != 0 {
			t.Errorf("%s: a host that it does not apply to: %q", c.line, r.Unused())
		}
	}
}

// Of a jump host what is about its key is said, and nothing else.
func TestTrustOfJumpHosts(t *testing.T) {
	c := load(t, "CheckHostIP yes\nVerifyHostKeyDNS ask\nNoHostAuthenticationForLocalhost yes\nChannelTimeout session=5m\n"+
		"PermitLocalCommand yes\nLocalCommand id\nRemoteForward 80 a:80\n", nil)
	var got []string
	for _, n := range resolve(t, c, "127.0.0.1").Trust() {
		got = append(got, n.Keyword)
	}
	if want := "checkhostip verifyhostkeydns nohostauthenticationforlocalhost"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A keyword without effect is accepted silently: the host resolves as if it were not there.
func TestWithoutEffect(t *testing.T) {
	c := load(t, "ForwardX11 yes\nLocalForward 80 a:80\nControlMaster auto\nControlPath ~/x\nTunnel yes\n"+
		"PermitLocalCommand yes\nLocalCommand rm -rf /\nGSSAPIAuthentication yes\nHostbasedAuthentication yes\n"+
		"Compression yes\nRequestTTY force\nForkAfterAuthentication yes\nAddKeysToAgent yes\nUpdateHostKeys yes\n"+
		"RSAAuthentication yes\nProtocol 2,1\nWarnWeakCrypto no\nChannelTimeout *=1\n", nil)
	got, want := resolve(t, c, "h"), resolve(t, load(t, "", nil), "h")
	for _, f := range []func(*config.Resolved) any{
		func(r *config.Resolved) any { return r.HostName },
		func(r *config.Resolved) any { return r.ProxyCommand },
		func(r *config.Resolved) any { return fmt.Sprint(r.Jumps, r.Ciphers, r.PubkeyAuthentication, r.SetEnv) },
	} {
		if f(got) != f(want) {
			t.Errorf("%v, without these keywords %v", f(got), f(want))
		}
	}
}

func TestKeywordsHaveClasses(t *testing.T) {
	classes := make(map[string]config.Class)
	for _, k := range config.Keywords() {
		if _, twice := classes[k.Name]; twice {
			t.Errorf("%s stands in the table twice", k.Name)
		}
		classes[k.Name] = k.Class
	}
	for name, want := range map[string]string{
		"hostname": "honoured", "identityfile2": "honoured", "checkhostip": "reported", "cipher": "without effect",
		"remotecommand": "refused", "knownhostscommand": "honoured",
	} {
		if got := classes[name].String(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
