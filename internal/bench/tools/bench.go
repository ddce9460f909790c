package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"shoal/internal/bench"
	"shoal/internal/bench/benchrecord"
)

// A bencher is one run of the whole comparison.
type bencher struct {
	settings Settings
	dir      string // of all temporary files
	meter    *meter
	targets  []*target
	tools    []tool
	results  *results
	begun    time.Time

	header Header
	probes []Probe
	points []Point
	// over has, by target and tool, the smallest size that reached the time
	// limit; neither this nor a larger size is tried again.
	over map[[2]string]int
}

// compare runs the whole comparison. When it returns, all processes have been
// ended and all temporary files removed.
func compare(ctx context.Context, s Settings) (err error) {
	if err := checkAlone(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := newRoot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.remove()) }()
	b := &bencher{settings: s, dir: dir, begun: time.Now(), over: make(map[[2]string]int)}
	if err := b.prepare(ctx, root); err != nil {
		return err
	}
	b.targets, err = startTargets(ctx, s, root, dir)
	defer func() { err = errors.Join(err, b.endTargets()) }()
	if err != nil {
		return err
	}
	return b.all(ctx)
}

// prepare creates what the tools need and finds out which are installed.
func (b *bencher) prepare(ctx context.Context, root *group) error {
	files, err := raiseFiles()
	if err != nil {
		return err
	}
	for _, name := range []string{"home", "programs", "work"} {
		if err := os.Mkdir(filepath.Join(b.dir, name), 0o700); err != nil {
			return fmt.Errorf("making a temporary directory: %w", err)
		}
	}
	if err := writePrograms(filepath.Join(b.dir, "programs")); err != nil {
		return err
	}
	// The tools see no configuration of the user, and find Debian's programs
	// first.
	const path = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
	if err := os.Setenv("PATH", path); err != nil {
		return fmt.Errorf("setting PATH: %w", err)
	}
	b.meter = &meter{root: root, dir: filepath.Join(b.dir, "work"), env: []string{
		"PATH=" + path, "HOME=" + filepath.Join(b.dir, "home"), "USER=root", "LOGNAME=root",
		"LANG=C.UTF-8", "TMPDIR=" + b.dir,
	}}
	for _, t := range toolset() {
		if t.name == base || b.settings.only.MatchString(t.name) {
			b.tools = append(b.tools, t)
		}
	}
	h := bench.NewHeader(base+" "+versionOf(ctx, ours(), b.settings.shoal), benchrecord.Settings{})
	h.Machine.Host = "" // of no use to readers of the figures
	b.header = Header{
		Program: h.Program, Commit: h.Commit, Started: h.Started, Machine: h.Machine,
		Load: load(), Files: files, Settings: b.settings,
	}
	return nil
}

// load returns the load averages (proc(5)); "" if they cannot be read.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// all probes and measures, and writes the results even if it is interrupted.
func (b *bencher) all(ctx context.Context) (err error) {
	b.results, err = newResults(b.settings.out, b.header.Started)
	if err != nil {
		return err
	}
	defer func() {
		if len(b.points) > 0 {
			err = errors.Join(err, b.writeTable())
		}
		err = errors.Join(err, b.results.jsonl.Close())
	}()
	if err := b.results.header(b.header); err != nil {
		return err
	}
	if err := b.probeAll(ctx); err != nil {
		return err
	}
	return b.turns(ctx)
}

func (b *bencher) endTargets() error {
	var errs []error
	for _, t := range b.targets {
		if t != nil && t.server != nil {
			errs = append(errs, t.server.end())
		}
	}
	return errors.Join(errs...)
}

func (b *bencher) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0fs "+format+"\n", append([]any{time.Since(b.begun).Seconds()}, args...)...)
}

// versionOf asks a tool for its version.
func versionOf(ctx context.Context, t tool, shoal string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	argv := append([]string{}, t.version...)
	if argv[0] == base {
		argv[0] = shoal
	}
	said, _ := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput() // some print it and fail
	return parseVersion(string(said))
}

// parseVersion returns the first word with a digit, without a name in front:
// "OpenSSH_9.2p1, OpenSSL 3.0" gives 9.2p1. Without a digit it returns the last
// word.
func parseVersion(said string) string {
	last := "unknown"
	for word := range strings.FieldsSeq(said) {
		word = strings.Trim(word, ",()[]")
		if !strings.ContainsAny(word, "0123456789") {
			last = word
			continue
		}
		if i := strings.IndexAny(word, "-_"); i > 0 && !strings.ContainsAny(word[:i], "0123456789") {
			word = word[i+1:]
		}
		return word
	}
	return last
}
