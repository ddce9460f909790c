package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testJob(t *testing.T, kex string) job {
	t.Helper()
	tg := target{command: "cmd $x", key: "/key"}
	j, err := tg.newJob(t.TempDir(), plan{hosts: hosts(2), port: 2201, known: func(i int) string {
		return "ssh-ed25519 KEY" + string(rune('0'+i))
	}}, kex)
	if err != nil {
		t.Fatal(err)
	}
	j.fanout, j.shoal, j.programs = 7, "/shoal", "/programs"
	return j
}

func TestJobFiles(t *testing.T) {
	j := testJob(t, curve25519)
	for path, want := range map[string]string{
		j.hostsFile:  "127.1.0.1\n127.1.0.2\n",
		j.knownHosts: "[127.1.0.1]:2201 ssh-ed25519 KEY0\n[127.1.0.2]:2201 ssh-ed25519 KEY1\n",
		j.sshConfig: `User shoal-peer
Port 2201
IdentityFile /key
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile ` + j.knownHosts + `
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
KexAlgorithms curve25519-sha256
`,
	} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", filepath.Base(path), diff)
		}
	}
	if config := testJob(t, "").config(""); strings.Contains(config, "Kex") {
		t.Errorf("the default key exchange is chosen:\n%s", config)
	}
}

// Every tool gets the hosts, the login, the trusted keys and the command, and
// only the key exchange differs between the two tools of a kind.
func TestToolset(t *testing.T) {
	j := testJob(t, "")
	copied := j
	copied.file, copied.dest = "/src/file", "/tmp/there"
	seen := make(map[string]tool)
	for _, tl := range toolset() {
		if _, twice := seen[tl.name]; twice {
			t.Errorf("two tools are called %q", tl.name)
		}
		seen[tl.name] = tl
		argv, wants := []string(nil), []string{j.hostsFile, j.command}
		if tl.argv == nil {
			argv, wants = tl.push(copied), []string{copied.file, copied.dest}
		} else {
			argv = tl.argv(j)
		}
		told := strings.Join(argv, "\n")
		if tl.env != nil {
			told += strings.Join(tl.env(j), "\n")
		}
		switch {
		case tl.name == onlyHost:
			wants = append(wants, j.sshConfig, j.hosts[0])
		case tl.name == "ansible -m command" || tl.plain == "ansible -m command":
			wants = []string{j.hostsFile, j.template, j.sshConfig}
		case tl.forks:
			wants = append(wants, j.sshConfig)
		default:
			wants = append(wants, j.knownHosts, j.key, j.user, "2201")
		}
		for _, want := range wants {
			if !strings.Contains(told, want) {
				t.Errorf("%s is not told %q: %q", tl.name, want, told)
			}
		}
		if plain, ok := seen[tl.plain]; ok && !slices.Equal(plain.line(copied), tl.line(copied)) {
			t.Errorf("%s runs %q, and without the key exchange %q", tl.name, argv, plain.line(copied))
		}
		if tl.forks && tl.kex == "" && !slices.ContainsFunc(toolset(), func(o tool) bool {
			return o.plain == tl.name && o.kex == curve25519
		}) {
			t.Errorf("%s has no twin with %s", tl.name, curve25519)
		}
	}
	if _, ok := seen[base]; !ok {
		t.Error("shoal is not among them")
	}
}

func TestProgramsAreWritten(t *testing.T) {
	dir := t.TempDir()
	if err := writePrograms(dir); err != nil {
		t.Fatal(err)
	}
	j := job{programs: dir}
	for _, tl := range programs() {
		if path := tl.argv(j)[3]; !strings.HasPrefix(path, dir) {
			t.Errorf("%s runs %s", tl.name, path)
		} else if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", tl.name, err)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for said, want := range map[string]string{
		"OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19": "9.2p1",
		"pdsh-2.34 (+readline+debug)":            "2.34",
		"ansible [core 2.14.18]\n":               "2.14.18",
		"shoal e0b282a-dirty\n":                  "e0b282a-dirty",
		"shoal v0.1.0-3-ge0b282a\n":              "v0.1.0-3-ge0b282a",
		"shoal unknown\n":                        "unknown",
		"":                                       "unknown",
	} {
		if got := parseVersion(said); got != want {
			t.Errorf("%q has version %q, want %q", said, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	list := hosts(300)
	if list[0] != "127.1.0.1" || list[254] != "127.1.0.255" || list[299] != "127.1.1.44" {
		t.Errorf("hosts 0, 254 and 299 are %s, %s and %s", list[0], list[254], list[299])
	}
}

func TestFirstError(t *testing.T) {
	for _, test := range []struct{ stderr, stdout, want string }{
		{"\nWarning: slow\n[WARNING]: old\nssh: refused\nmore\n", "", "ssh: refused"},
		{"", "127.1.0.1: hello world 127.1.0.1\n[1] FAILURE\n", "[1] FAILURE"},
		{"a\treset\ra\tmore\n", "", "a\treset"},
		{"", "", ""},
		{strings.Repeat("x", 900), "", strings.Repeat("x", maxError)},
	} {
		if got := firstError([]byte(test.stderr), []byte(test.stdout)); got != test.want {
			t.Errorf("%.50q and %.50q: %q, want %q", test.stderr, test.stdout, got, test.want)
		}
	}
}
