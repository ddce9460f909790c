package config_test

import (
	"fmt"
	"strings"
	"testing"

	"shoal/internal/ssh/config"
)

// What only the system's ssh has is passed to it as it was written, and is an error without it.
func TestProgram(t *testing.T) {
	for _, c := range []struct {
		lines, options, methods, needed, control string
		other                                    bool
	}{
		{lines: "", methods: "publickey"},
		{lines: "GSSAPIAuthentication yes", options: "GSSAPIAuthentication yes", methods: "gssapi-with-mic publickey", other: true},
		{
			lines:   "GSSAPIAuthentication yes\nGSSAPIDelegateCredentials yes",
			options: "GSSAPIAuthentication yes;GSSAPIDelegateCredentials yes", methods: "gssapi-with-mic publickey", other: true,
		},
		{
			lines: "GSSAPIAuthentication yes\nGSSAPIClientIdentity u@R", methods: "gssapi-with-mic publickey", other: true,
			options: `GSSAPIAuthentication yes;IgnoreUnknown GSSAPIServerIdentity,GSSAPIClientIdentity;GSSAPIClientIdentity "u@R"`,
		},
		{lines: "GSSAPIDelegateCredentials yes", methods: "publickey"},
		{lines: "HostbasedAuthentication yes", options: "HostbasedAuthentication yes", methods: "hostbased publickey", other: true},
		{
			lines:   "HostbasedAuthentication yes\nPreferredAuthentications publickey,password,hostbased,gssapi-with-mic",
			options: "HostbasedAuthentication yes", methods: "publickey hostbased", other: true,
		},
		{lines: "PubkeyAuthentication no\nPasswordAuthentication yes"},
		{
			lines: "PKCS11Provider \"/lib/a b.so\"", options: `PKCS11Provider "/lib/a b.so"`, methods: "publickey",
			needed: "PKCS11Provider", other: true,
		},
		{
			lines: "KnownHostsCommand /bin/x -a \"%H\" %K", options: `KnownHostsCommand /bin/x -a "%H" %K`, methods: "publickey",
			needed: "KnownHostsCommand",
		},
		{lines: "SecurityKeyProvider /x.so", options: `SecurityKeyProvider "/x.so"`, methods: "publickey"},
		{lines: "PKCS11Provider none\nKnownHostsCommand none", methods: "publickey"},
		{
			lines: "KexAlgorithms +diffie-hellman-group14-sha1\nCiphers -*-cbc\nMACs umac-64@openssh.com", methods: "publickey",
			options: "KexAlgorithms +diffie-hellman-group14-sha1;Ciphers -*-cbc;MACs umac-64@openssh.com",
		},
		{lines: "User u\nPort 7\nControlPath /run/%r-%h-%p", methods: "publickey", control: "/run/u-h-7"},
		{lines: "User u\nControlPath /run/%r-%h", methods: "publickey"}, // may lead to another port
		{lines: "ControlPath /run/x", methods: "publickey"},
		{lines: "ControlPath none", methods: "publickey"},
	} {
		conf := load(t, "Host h\n"+c.lines+"\n", nil)
		r, err := conf.Resolve(t.Context(), "h", config.Options{Program: true})
		if err != nil {
			t.Errorf("%q: %v", c.lines, err)
			continue
		}
		p, notice := r.Program()
		got := fmt.Sprint(strings.Join(p.Options, ";"), "|", strings.Join(p.Methods, " "), "|", p.Needed, "|", p.ControlPath, "|", p.OtherLogins, "|", p.KnownHostsCommand)
		want := fmt.Sprint(c.options, "|", c.methods, "|", c.needed, "|", c.control, "|", c.other, "|", c.needed == "KnownHostsCommand")
		if got != want {
			t.Errorf("%q:\n%s, want\n%s", c.lines, got, want)
		}
		vague := strings.Contains(c.lines, "ControlPath /") && c.control == ""
		if said := strings.Contains(notice, "config:") && strings.Contains(notice, "ControlPath"); said != vague || !vague && notice != "" {
			t.Errorf("%q: notice %q", c.lines, notice)
		}
	}
	none := load(t, "MACs umac-64@openssh.com\n", func(o *config.LoadOptions) {
		o.Algorithms.MACs = config.AlgorithmList{Default: []string{"hmac-sha2-256"}, Supported: []string{"hmac-sha2-256"}}
	})
	if _, err := none.Resolve(t.Context(), "h", config.Options{}); err == nil {
		t.Error("a list without any algorithm of ours was taken")
	}
	if r, err := none.Resolve(t.Context(), "h", config.Options{Program: true}); err != nil || len(r.MACs) != 0 {
		t.Errorf("with ssh: %v", err)
	}
}
