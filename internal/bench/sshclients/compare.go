package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shoal/internal/bench"
)

// A comparison is one run of this program.
type comparison struct {
	settings settings
	dir      string // files of this run
	program  string // path of this program
	clients  side
	servers  side
	out      io.Writer
}

// A part is one section of the tables.
type part struct {
	name    string
	measure func(*comparison, context.Context) error
}

func parts() []part {
	return []part{
		{"cpu", (*comparison).cpuPart},
		{"memory", (*comparison).memoryPart},
		{"bulk", (*comparison).bulkPart},
		{"flights", (*comparison).flightsPart},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// compare measures and prints all selected parts.
func compare(ctx context.Context, s settings) (err error) {
	c := &comparison{settings: s, out: os.Stdout}
	if c.program, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if c.clients, c.servers, err = sides(); err != nil {
		return err
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "clients-"); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	if s.out != "" {
		file, err := os.Create(s.out)
		if err != nil {
			return fmt.Errorf("opening the tables' file: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		c.out = io.MultiWriter(os.Stdout, file)
	}
	c.head()
	for _, p := range parts() {
		if !slices.Contains(s.only, p.name) {
			continue
		}
		if err := p.measure(c, ctx); err != nil {
			return fmt.Errorf("measuring %s: %w", p.name, err)
		}
	}
	c.print("\nLoad average at the end: %s.\n", load())
	return nil
}

func (c *comparison) print(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format, args...) }

// note prints on standard error what is being done.
func (c *comparison) note(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

func (c *comparison) head() {
	h := bench.NewHeader("", bench.Options{}.Settings(nil))
	m := h.Machine
	c.print("# shoal's SSH client beside x/crypto/ssh and ssh, %s\n\n", h.Started.Format(time.DateOnly))
	c.print("%d cores of %s, %.1f GiB, %s %s, %s; clients and servers on the same machine.\n",
		m.Cores, m.CPU, float64(m.Memory)/(1<<30), m.OS, m.Kernel, h.Go)
	c.print("Load average at the start: %s. %d repeats in turn; a ratio is the median of the ratios within each repeat, (least–greatest).\n",
		load(), c.settings.repeats)
}

// section starts a part's table and names the command that repeats it.
func (c *comparison) section(title, part string, columns ...string) {
	c.print("\n## %s\n\n", title)
	c.print("`make bench-clients CLIENTS='--only %s%s'`\n\n", part, c.settings.flags())
	c.print("| %s |\n|:---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-1))
}

func (c *comparison) row(cells ...string) { c.print("| %s |\n", strings.Join(cells, " | ")) }

// startFleet starts n simulated hosts on the servers' processors.
func (c *comparison) startFleet(ctx context.Context, n int) (*server, func() error, error) {
	var f *bench.Fleet
	err := c.servers.start(func() (err error) {
		// It ends with its standard input, which shoal fleet does not.
		program := filepath.Join(filepath.Dir(c.settings.shoal), "shoal-bench")
		f, _, err = bench.StartFleet(ctx, bench.FleetOptions{Program: []string{program, "fleet"}, Hosts: n})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	o := f.Connect()
	s := &server{name: "simulated fleet", user: o.User, key: o.Identities[0], knownHosts: o.KnownHosts[0]}
	for t := range f.Targets(n) {
		s.hosts = append(s.hosts, t.Host.String())
	}
	return s, f.Close, nil
}
