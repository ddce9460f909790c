package cli_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/hosts/expr"
	"shoal/simfleet"
)

var updatePages = flag.Bool("update-pages", false, "rewrite what the consoles of the pages print, where it is not that")

// runMark stands in the pages whose consoles are run.
const runMark = "<!-- run -->"

// A step is a command of a page, and what it prints there.
type step struct {
	line          int // the first of the command
	answer        int // the first of what it prints, counted from 0
	command, want string
}

// steps returns the commands in the consoles of a page. A line that ends with a backslash goes on in the next one, and
// one with <<END until END.
func steps(page string) (all []step) {
	inside, open := false, ""
	for n, line := range strings.Split(page, "\n") {
		last := len(all) - 1
		switch {
		case line == "```console":
			inside = true
		case line == "```":
			inside = false
		case !inside:
		case open != "":
			all[last].command += "\n" + line
			all[last].answer = n + 1
			if open == line || open == `\` && !strings.HasSuffix(line, `\`) {
				open = ""
			}
		case strings.HasPrefix(line, "$ "):
			all = append(all, step{line: n + 1, answer: n + 1, command: line[2:]})
			if strings.HasSuffix(line, `\`) {
				open = `\`
			} else if strings.HasSuffix(line, "<<END") || strings.HasSuffix(line, "<<'END'") {
				open = "END"
			}
		case last < 0:
		default:
			all[last].want += line + "\n"
		}
	}
	return all
}

// marker begins what a step prints.
const marker = "\x1e"

// script returns the page as one script, so that variables, jobs, directories and $? last. The port of the
// pages is any free one here.
func script(all []step) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "__status=$?; printf '%s'; (exit $__status)\n%s\n", marker, strings.ReplaceAll(s.command, " --port 2222", ""))
	}
	return b.String()
}

// volatile is what is different in each run, and what stands for it.
var volatile = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\b\d+ min \d+ s\b|\b\d+(\.\d+)? (s|ms)\b`), "TIME"},
	{regexp.MustCompile(`\b1m[0-9a-z]{7}-[0-9a-z]{4}\b`), "RUN"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?\b`), "DATE"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`), "FINGERPRINT"},
	{ports, "${1}PORT"},
	{regexp.MustCompile(` {2,}`), "  "}, // columns are as wide as what is in them
}

// pattern returns what the output of a step has to match: … stands for any text, and alone on a line for any lines.
func pattern(want string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for line := range strings.Lines(usual(want)) {
		if line == "…\n" {
			b.WriteString(`(?:[^\n]*\n)*`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`))
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func usual(text string) string {
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.text)
	}
	return text
}

// TestPages runs the consoles of the pages in docs that are marked so, and compares what they print. Each
// page has a home of its own with known_hosts, a key and an ssh_config that leads to one simulated fleet.
func TestPages(t *testing.T) {
	names, err := expr.Expand(pageHosts)
	if err != nil {
		t.Fatal(err)
	}
	start := func(password string) *simfleet.Fleet {
		f, err := simfleet.Start(t.Context(), simfleet.Options{
			Hosts: len(names), Names: names, Seed: "pages", Forward: true, SudoPassword: password,
			Fault: func(i int) simfleet.Fault { return pageFaults[names[i]] },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	f, asking := start(""), start("secret") // what their sudo asks for
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	t.Run("pages", func(t *testing.T) {
		for _, path := range paths {
			page, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(page, []byte(runMark)) {
				continue
			}
			n++
			t.Run(filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				hosts := f
				if filepath.Base(path) == "become.md" {
					hosts = asking
				}
				runPage(t, path, steps(string(page)), pageHome(t, hosts, names))
			})
		}
	})
	if n < 5 {
		t.Errorf("%d pages were run", n)
	}
}

// The hosts of the pages, and what is wrong with some.
const pageHosts = "web[01-12],db[1-4],bastion,new[1-2],old1,win[1-2],switch1"

var pageFaults = map[string]simfleet.Fault{
	"old1": simfleet.FaultAuthRefused,
	"db4":  simfleet.FaultWrongHostkey,

	"win1":    simfleet.FaultWindowsCmd,
	"win2":    simfleet.FaultWindowsPowerShell,
	"switch1": simfleet.FaultCiscoIOS,
}

// pageHome makes the home of a page.
func pageHome(t *testing.T, f *simfleet.Fleet, names []string) string {
	t.Helper()
	home := t.TempDir()
	var config, known, hosts strings.Builder
	group := ""
	for i, name := range names {
		key := f.HostKey(i)
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n  Port %d\n", name, f.Host(i).Name, f.Port())
		if !strings.HasPrefix(name, "new") {
			fmt.Fprintf(&known, "[%s]:%d %s %s\n", f.Host(i).Name, f.Port(), key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
		}
		if g := strings.TrimRight(name, "0123456789"); g != group && (g == "web" || g == "db") {
			group = g
			fmt.Fprintf(&hosts, "[%s]\n", g)
		}
		if strings.HasPrefix(name, "web") || strings.HasPrefix(name, "db") && name != "db4" {
			fmt.Fprintln(&hosts, name)
		}
	}
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		".ssh/config": text(&config), ".ssh/known_hosts": text(&known), "hosts": text(&hosts), ".ssh/id_ed25519": f.WriteKey,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func text(b *strings.Builder) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, b.String())
		return err
	}
}

func runPage(t *testing.T, path string, all []step, home string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script(all)+"\nkill $(jobs -p) 2>/dev/null; wait 2>/dev/null\n")
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+filepath.Join(home, "state"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "USER=you", "SSH_AUTH_SOCK=", "LC_ALL=C.UTF-8")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	// A terminal does not show the CR of CR LF, and editors lose it.
	parts := strings.Split(strings.NewReplacer(home, "/home/you", "\r\n", "\n").Replace(string(out)), marker)[1:]
	if len(parts) != len(all) {
		t.Fatalf("%s: %d steps, and the outputs of %d (%v)\n%s", path, len(all), len(parts), err, out)
	}
	if *updatePages {
		rewrite(t, path, all, parts)
		return
	}
	for i, s := range all {
		if got := parts[i]; !pattern(s.want).MatchString(usual(got)) {
			t.Errorf("%s:%d: $ %s\nprints:\n%s\nand the page has:\n%s", path, s.line, s.command, got, s.want)
		}
	}
}

var ports = regexp.MustCompile(`(:|port +)\d{4,5}\b`)

// rewrite puts what the steps printed into the page, where it has something else.
func rewrite(t *testing.T, path string, all []step, printed []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(page), "\n")
	for i := len(all) - 1; i >= 0; i-- {
		if s := all[i]; !pattern(s.want).MatchString(usual(printed[i])) {
			lines = slices.Replace(lines, s.answer, s.answer+strings.Count(s.want, "\n"), ports.ReplaceAllString(printed[i], "${1}2222"))
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil { //nolint:gosec // a page for all
		t.Fatal(err)
	}
}
