package config

import (
	"os/user"
	"slices"
	"strings"
	"testing"
)

// A difference is a deliberate deviation from ssh -G of OpenSSH 9.2, with the reason.
type difference struct {
	config       string
	theirs, ours string // a line that is printed, or "refused"
	why          string
}

const refused = "refused"

var differences = []difference{
	{"Match host 'somehost'\nUser x", "user root", "user x", "since 9.9, words of Match lines are quoted like all others"},
	{`Match exec "test \"%h\" = somehost"` + "\nUser x", refused, "user x", "the same, for backslashes"},
	{"\"User x\nPort 3", "port 3", refused, "an open quote is a mistake, not a comment"},
	{"Port 3\nUser x\x00y", "user x", refused, "a NUL byte does not end a line"},
	{"User %h", "user %h", "user somehost", "since 10.0, User takes tokens"},
	{"SetEnv A=%h-${SC_NAME}", "setenv A=%h-${SC_NAME}", "setenv A=somehost-name", "since 10.0, SetEnv takes tokens"},
	{"Tag web\nMatch tagged w*\nUser x", refused, "user x", "since 9.4"},
	{"Match localnetwork 127.0.0.0/8\nUser x", refused, "user x", "since 9.4"},
	{"Match sessiontype exec\nUser x", refused, "user x", "since 10.0"},
	{"ObscureKeystrokeTiming no\nUser x", refused, "user x", "since 9.5"},
	{"VersionAddendum a b\nUser x", refused, "user x", "since 10.0"},
	{
		"KexAlgorithms mlkem768x25519-sha256,curve25519-sha256", refused, "kexalgorithms curve25519-sha256",
		"names that some OpenSSH knows are read and left out",
	},
	{"ProxyJump j\nControlPath /%j", refused, "controlpath /j", "since 9.4, there is %j"},
	{"IPQoS va", refused, "ipqos va va", "since 10.0"},
	{"IdentityFile %x", "identityfile %x", refused, "ssh finds this when it connects"},
	{"CertificateFile ${SC_NOT_SET}", "certificatefile ${SC_NOT_SET}", refused, "ssh finds this when it connects"},
	{"ProxyCommand nc %x", "proxycommand nc %x", refused, "ssh finds this when it connects"},
	{"HostName a;b", "hostname a;b", refused, "names are checked whoever gives them"},
	{"HostName -oProxyCommand=x", "hostname -oproxycommand=x", refused, "the same"},
	{"User a;b", "user a;b", refused, "the same"},
	{`User "a` + "\t" + `b"`, "user a\tb", refused, "the same"},
	{"HostKeyAlias a;b", "hostkeyalias a;b", refused, "the same"},
	{"ProxyJump a;b", "proxyjump a;b", refused, "the same"},
	{`ProxyJump "a"`, `proxyjump "a"`, refused, "the same"},
	{"ProxyJump a b", "proxyjump a", refused, "ssh reads no further than the first blank"},
	{"ProxyJump none # comment", "proxyjump none", "proxyusefdpass no", "ssh takes it for a host of that name"},
	{"Ciphers -*", "ciphers ", refused, "a connection without ciphers"},
	{"StreamLocalBindMask 0177x", "streamlocalbindmask 0177", refused, "what follows the number is a mistake"},
	{"ControlPath ${SC_NOT_SET}", refused, "user root", "has no effect here"},
	{"LocalForward /a%x /b", refused, "user root", "has no effect here"},
	{"CanonicalizePermittedCNAMEs a:b", refused, "user root", "ssh looks the host up, though nothing can come of it"},
}

func TestDifferences(t *testing.T) {
	o := newOracle(t)
	current, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Run(d.config, func(t *testing.T) {
			t.Parallel()
			for _, line := range []*string{&d.theirs, &d.ours} {
				*line = strings.ReplaceAll(*line, "user root", "user "+current.Username)
			}
			s := &sample{host: "somehost", files: map[string]string{"config": d.config + "\n"}}
			path := s.write(t)
			ours := s.ourLines(t, o, path)
			theirs := []string{refused}
			if lines, err := s.ask(path); err == nil {
				theirs = flatten(lines)
			}
			if !slices.Contains(ours, d.ours) {
				t.Errorf("want %q, have %q", d.ours, ours)
			}
			// A later ssh may agree with us.
			if !slices.Contains(theirs, d.theirs) && !slices.Contains(theirs, d.ours) {
				t.Errorf("ssh: want %q, have %q", d.theirs, theirs)
			}
		})
	}
}

func (s *sample) ourLines(t *testing.T, o *oracle, path string) []string {
	t.Helper()
	c, err := Load(LoadOptions{File: path, Algorithms: o.algorithms, Local: Local{Getenv: testEnv}})
	if err != nil {
		return []string{refused}
	}
	r, err := c.Resolve(t.Context(), s.host, Options{})
	if err != nil {
		return []string{refused}
	}
	var lines []string
	for _, setting := range r.Settings() {
		lines = append(lines, setting.String())
	}
	return lines
}

func flatten(lines map[string][]string) []string {
	var all []string
	for keyword, values := range lines {
		for _, v := range values {
			all = append(all, keyword+" "+v)
		}
	}
	return all
}

// The defaults of the table are those of the installed ssh, except for differences between
// versions and Debian's patches.
func TestDefaultsAgreeWithSSH(t *testing.T) {
	o := newOracle(t)
	c, err := Load(LoadOptions{File: "none", Algorithms: o.algorithms})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Resolve(t.Context(), "host", Options{})
	if err != nil {
		t.Fatal(err)
	}
	ours := make(map[string][]string)
	for _, s := range r.Settings() {
		ours[s.Keyword] = append(ours[s.Keyword], s.Value)
	}
	why := map[string]string{
		"forwardx11trusted": "Debian's default is yes",
		"ipqos":             "Debian's default is lowdelay throughput",
		"identityagent":     "not printed",
	}
	for keyword, want := range o.defaults {
		if got := ours[keyword]; !slices.Equal(got, want) && why[keyword] == "" {
			t.Errorf("%s: %q, ssh has %q", keyword, got, want)
		}
	}
	for keyword, got := range ours {
		if o.defaults[keyword] == nil {
			t.Errorf("%s: %q, ssh prints nothing", keyword, strings.Join(got, " "))
		}
	}
}

// This machine's own files, read without -F.
func TestSystemFilesAgreeWithSSH(t *testing.T) {
	o := newOracle(t)
	theirs, err := askSSH("somehost")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(LoadOptions{Algorithms: o.algorithms, Local: Local{Getenv: testEnv}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.resolve(t.Context(), "somehost", &Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if diffs := o.compare(theirs, r); len(diffs) > 0 {
		t.Errorf("ssh -G differs:\n  %s", strings.Join(diffs, "\n  "))
	}
}
