package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shoal/internal/ssh/config"
)

func TestLoadNamesEveryProblem(t *testing.T) {
	_, err := tryLoad(t, "Port x\nHost a\n\tUser\nFine 1\n  Match bad y\nUser \"x\nCompression maybe\n", nil)
	wantError(t, err, `config:1: port: bad port "x"`, "config:3: user: missing argument", "config:4: fine: unknown keyword",
		`config:5: match: unsupported criterion "bad"`, "config:6: user: no closing quote", "config:7: compression")
	problems, ok := errors.AsType[config.Problems](err)
	if !ok || len(problems) != 6 || problems[1].Line != 3 || problems[1].Keyword != "user" {
		t.Errorf("problems %v", problems)
	}
	_, err = tryLoad(t, strings.Repeat("Port x\n", 25), nil)
	wantError(t, err, "and 5 more")
	_, err = tryLoad(t, "", func(o *config.LoadOptions) { o.Set = []string{"User=x", "Port=x", "Host=a"} })
	wantError(t, err, "command line, option 2: port", "command line, option 3: host: is not an option")
	if _, err := config.Load(config.LoadOptions{ExecTimeout: -1}); err == nil {
		t.Error("a negative timeout was taken")
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	missing := config.LoadOptions{UserFile: dir + "/u", SystemFile: dir + "/s", Local: me(dir)}
	if _, err := config.Load(missing); err != nil {
		t.Errorf("files that are missing: %v", err)
	}
	missing.File = dir + "/named"
	if _, err := config.Load(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a named file that is missing: %v", err)
	}
	writeFile(t, dir+"/s", "Include ~/x\n")
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/named", "Include "+dir+"/fifo\n")
	_, err := config.Load(missing)
	wantError(t, err, "named:1: include", "not a regular file")
	missing.File = ""
	_, err = config.Load(missing)
	wantError(t, err, "s:1: include", "cannot include from a home directory")
}

// faults.md: I12
func TestOwnerAndMode(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir+"/.ssh/config", "Include inc\n")
	included := writeFile(t, dir+"/.ssh/inc", "User x\n")
	local := me(dir)
	try := func() error {
		_, err := config.Load(config.LoadOptions{SystemFile: dir + "/none", Local: local})
		return err
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, included} {
		for _, mode := range []os.FileMode{0o620, 0o602} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			wantError(t, try(), file, fmt.Sprintf("others may write to it (mode %#o)", mode), "\nhint: ")
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A file named by -F is not checked, but its includes are.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.LoadOptions{File: path, Local: local}); err != nil {
		t.Errorf("a named file was checked: %v", err)
	}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, 4711, -1)); err != nil {
			t.Fatal(err)
		}
		wantError(t, try(), "belongs to user 4711")
	}
}

// faults.md: I11
func TestIncludeLimits(t *testing.T) {
	dir := t.TempDir()
	try := func(name string) error {
		_, err := config.Load(config.LoadOptions{File: filepath.Join(dir, name), Local: me(dir)})
		return err
	}
	writeFile(t, dir+"/self", "Host x\nInclude "+dir+"/self\n")
	wantError(t, try("self"), "self:2: include", "includes itself")
	writeFile(t, dir+"/a", "Include "+dir+"/b\n")
	writeFile(t, dir+"/b", "Include "+dir+"/a\n")
	wantError(t, try("a"), "includes itself by way of "+dir+"/b")

	for i := range 18 {
		writeFile(t, fmt.Sprint(dir, "/deep", i), fmt.Sprintf("Include %s/deep%d\n", dir, i+1))
	}
	writeFile(t, dir+"/deep18", "User x\n")
	if err := try("deep2"); err != nil {
		t.Errorf("16 levels: %v", err)
	}
	wantError(t, try("deep1"), "more than 16 levels deep")
	// A file that was read at one depth may be too deep at another.
	writeFile(t, dir+"/twice", "Include "+dir+"/deep3\nInclude "+dir+"/deeper\n")
	writeFile(t, dir+"/deeper", "Include "+dir+"/deep3\n")
	wantError(t, try("twice"), "deeper:1: include", "more than 16 levels deep")

	// Each file includes the next one four times.
	for i := range 16 {
		writeFile(t, fmt.Sprint(dir, "/wide", i), strings.Repeat(fmt.Sprintf("Include %s/wide%d\n", dir, i+1), 4))
	}
	writeFile(t, dir+"/wide16", "User x\n")
	wantError(t, try("wide0"), "more than 1000000 lines")

	if err := os.Mkdir(dir+"/big", 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		writeFile(t, fmt.Sprint(dir, "/big/", i), strings.Repeat("#\n", 4<<20))
	}
	writeFile(t, dir+"/large", "Include "+dir+"/big/*\n")
	wantError(t, try("large"), "more than 16777216 bytes")
}

func TestIncludePaths(t *testing.T) {
	home := t.TempDir()
	writeFile(t, home+"/.ssh/rel.d/1.conf", "IdentityFile rel1\n")
	writeFile(t, home+"/.ssh/rel.d/.2.conf", "IdentityFile hidden\n")
	writeFile(t, home+"/.ssh/rel.d/[x", "IdentityFile bracket\n")
	writeFile(t, home+"/tilde", "IdentityFile tilde\n")
	local := me(home)
	local.HomeOf = func(string) (string, error) { return home, nil }
	c := load(t, "Include rel.d/*.conf ~/tilde ~other/tilde rel.d/[x rel.d/[!1].conf "+home+"/none-*\n",
		func(o *config.LoadOptions) { o.Local = local })
	if got := strings.Join(resolve(t, c, "h").IdentityFiles, " "); got != "rel1 tilde bracket" {
		t.Errorf("identity files %q", got)
	}
}

// Tokens and variables in an Include are expanded, or refused where they depend on the host: a path
// that is taken literally would name no file, and its lines would be missing in silence.
func TestIncludeTokens(t *testing.T) {
	home := t.TempDir()
	writeFile(t, home+"/.ssh/work", "User included\n")
	local := me(home)
	local.Getenv = func(name string) (string, bool) { return "work", name == "SITE" }
	for text, want := range map[string]string{
		"Include ${SITE}":           "included",
		"Include %d/.ssh/wo*":       "included",
		"Include ~/.ssh/${SITE}":    "included",
		"Include other%%":           "me",
		"Include ${NO_SUCH_SITE}":   "is not set",
		"Include conf.d/%h":         "unknown token",
		"Include %d/.ssh/${SITE":    "bad environment variable",
		"Host x\nInclude conf.d/%n": "unknown token",
	} {
		c, err := tryLoad(t, text+"\n", func(o *config.LoadOptions) { o.Local = local })
		if err != nil {
			wantError(t, err, want)
			continue
		}
		if got := resolve(t, c, "h").User; got != want {
			t.Errorf("%q: user %q, want %q", text, got, want)
		}
	}
}

func TestMatchLaterThanOracle(t *testing.T) {
	addresses := func(o *config.LoadOptions) {
		o.Local.Addresses = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.1.2.3")}, nil }
	}
	for text, want := range map[string]string{
		"Match localnetwork 10.0.0.0/8":              "x",
		"Match localnetwork 192.168.0.0/16,10.1.2.3": "x",
		"Match !localnetwork 192.168.0.0/16":         "x",
		"Match localnetwork 10.1.0.0/24":             "me",
		"Match localnetwork 10.1.2.3/8":              "bad network",
		"Tag a\nMatch tagged b,a":                    "x",
		"Match tagged \"\"":                          "x",
		"Match tagged a":                             "me",
		"Tag a\nTag b\nMatch tagged b":               "me",
		"Match sessiontype shell":                    "me",
		"Match sessiontype exec":                     "x",
		"Match command \"up*\"":                      "x",
		"Match command reboot":                       "me",
		"Match version x":                            "unsupported criterion",
	} {
		c, err := tryLoad(t, text+"\nUser x\n", addresses)
		if err != nil {
			wantError(t, err, want)
			continue
		}
		r, err := c.Resolve(t.Context(), "h", config.Options{Command: "uptime"})
		if err != nil || r.User != want {
			t.Errorf("%q: user %q, want %q: %v", text, r.User, want, err)
		}
	}
}

// An unknown keyword is an error for the hosts for which no earlier IgnoreUnknown matches it.
func TestIgnoreUnknownDependsOnTheHost(t *testing.T) {
	c := load(t, "Host a\nIgnoreUnknown New*\nHost *\nNewThing 1\n", nil)
	resolve(t, c, "a")
	_, err := c.Resolve(t.Context(), "b", config.Options{})
	wantError(t, err, "config:4: newthing: unknown keyword", "hint: ")
}
