package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A turn is one client's place among others.
type turn struct {
	name string
	do   func(context.Context) (figures, error)
}

// figures are what a turn gives, by their names.
type figures map[string]float64

// series are the figures of each turn, by name and then by repeat.
type series map[string][]figures

// turns has every one do its work, in each repeat beginning with another one.
func (c *comparison) turns(ctx context.Context, what string, all []turn) (series, error) {
	s := make(series)
	for repeat := range c.settings.repeats {
		for i := range all {
			t := all[(i+repeat)%len(all)]
			f, err := t.do(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", what, t.name, err)
			}
			s[t.name] = append(s[t.name], f)
			c.note("%s: %s (%d/%d): %v", what, t.name, repeat+1, c.settings.repeats, f)
		}
	}
	return s, nil
}

// median of a figure of a turn.
func (s series) median(name, figure string) float64 {
	var values []float64
	for _, f := range s[name] {
		values = append(values, f[figure])
	}
	return median(values)
}

// ratio of two turns' figures within each repeat, as "median (least–greatest)";
// "" where one of them has none.
func (s series) ratio(name, base, figure string) string {
	var values []float64
	for i, f := range s[name] {
		if i < len(s[base]) && s[base][i][figure] > 0 {
			values = append(values, f[figure]/s[base][i][figure])
		}
	}
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(values), slices.Min(values), slices.Max(values))
}

// median gives the middle value; of an even number, the mean of the two there.
func median(values []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// childLimit ends a child that takes longer.
const childLimit = 5 * time.Minute

// child has a job done by a process of its own, on the clients' processor.
func (c *comparison) child(ctx context.Context, j job) (t taken, err error) {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	if err := c.addProfiles(&j); err != nil {
		return t, err
	}
	input, err := json.Marshal(j)
	if err != nil {
		return t, err
	}
	cmd := exec.CommandContext(ctx, c.program, childArg)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := c.clients.start(cmd.Start); err != nil {
		return t, fmt.Errorf("starting a child: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return t, fmt.Errorf("%w: %.500q", err, stderr.Bytes())
	}
	if err := json.Unmarshal(stdout.Bytes(), &t); err != nil {
		return t, fmt.Errorf("reading a child's answer: %w", err)
	}
	return t, nil
}

// newState makes an empty state directory for one child.
func (c *comparison) newState() (string, error) { return os.MkdirTemp(c.dir, "state-") }

// addProfiles names the profiles that j writes, where they are wanted. A later
// repeat replaces those of an earlier one.
func (c *comparison) addProfiles(j *job) error {
	if c.settings.profiles == "" {
		return nil
	}
	if err := os.MkdirAll(c.settings.profiles, 0o755); err != nil {
		return fmt.Errorf("making the profiles' directory: %w", err)
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" /,", r) {
			return '-'
		}
		return r
	}, fmt.Sprintf("%s-%s-%s-%d", j.Task, j.Client, j.Kex, j.AtOnce))
	path := filepath.Join(c.settings.profiles, name)
	j.CPUProfile, j.MemProfile = path+".cpu", path+".mem"
	return nil
}
