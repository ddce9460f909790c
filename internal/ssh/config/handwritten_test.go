package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// unprintable are configurations with unprintable characters.
var unprintable = []string{
	"User x\r\nPort 44\r\nHost a \r\nIdentityFile y\r",
	"User x\f\n",
	"\fUser x\n",
	"User\v x\n",
	"User x\n\r\n\t\nPort 3",
	"User ä€\nHost s*\nPort 4\n",
	"User \xff\n",
}

// subFiles are the files that the Includes above name.
var subFiles = map[string]string{
	"one":      "Host *\nUser one\nHost nothing\nPort 1\n",
	"two":      "User two\nPort 2\n",
	"bad":      "Bogus x\n",
	"loop":     "Include @loop\n",
	"match":    "Match host nothing\nUser x\n",
	"d/2.conf": "User d2\nIdentityFile d2\n",
	"d/1.conf": "Port 1\nIdentityFile d1\n",
	"d/.conf":  "User hidden\n",
	"d/3.txt":  "User text\n",
}

// handwrittenSamples returns the hand-written configurations. Lines "---" separate them; the
// first line of each may be "# host [user@]name".
func handwrittenSamples(t testing.TB) []*sample {
	t.Helper()
	text, err := os.ReadFile("testdata/handwritten.conf")
	if err != nil {
		t.Fatal(err)
	}
	var list []*sample
	for i, text := range append(strings.Split(string(text), "---\n"), unprintable...) {
		s := &sample{name: fmt.Sprint("hand-", i), host: "somehost", files: map[string]string{"config": text}}
		for name, sub := range subFiles {
			s.files[name] = sub
		}
		if line, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(line, "# host ") {
			s.host = strings.TrimPrefix(line, "# host ")
			if user, host, ok := strings.Cut(s.host, "@"); ok {
				s.user, s.host = user, host
			}
			s.files["config"] = "\n" + rest
		}
		list = append(list, s)
	}
	return append(list, optionSamples()...)
}

// optionSamples returns samples for -o, -l and -p.
func optionSamples() []*sample {
	const config = "Host h\nUser conf\nPort 1\nIdentityFile c\nProxyCommand x\n"
	var list []*sample
	for i, set := range [][]string{
		{"User=o"},
		{"User o"},
		{"user = \"o p\""},
		{"Port=99", "Port=98"},
		{"IdentityFile=o", "IdentityFile=p"},
		{"ProxyJump=a"},
		{"ProxyCommand=none"},
		{"Host=x"},
		{"Match=all"},
		{"Include=x"},
		{"Bogus=1"},
		{"IgnoreUnknown=Bogus", "Bogus=1"},
		{""},
		{"User"},
		{"# comment"},
		{"Tunnel=no", "SendEnv=A B"},
		{"Ciphers=+aes128-cbc"},
		{"ConnectTimeout=5", "ServerAliveInterval=1h"},
		{"HostName=%h.x"},
		{"User=a=b"},
	} {
		list = append(list, &sample{
			name: fmt.Sprint("option-", i), host: "h", set: set, files: map[string]string{"config": config},
		})
	}
	return append(list,
		&sample{name: "user", host: "h", user: "me", files: map[string]string{"config": config}},
		&sample{name: "port", host: "h", port: 77, files: map[string]string{"config": config}},
	)
}

// faults.md: I11
func TestHandwrittenAgreeWithSSH(t *testing.T) {
	o := newOracle(t)
	for _, s := range handwrittenSamples(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o.check(t, s)
		})
	}
}
