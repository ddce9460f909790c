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

// A turn is one client's measurement within a repeat.
type turn struct {
	name string
	do   func(context.Context) (figures, error)
}

// figures are the results of a turn, by name.
type figures map[string]float64

// series are the figures by name of the turn and then by repeat.
type series map[string][]figures

// turns runs all turns in each repeat, starting with another one each time.
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

// median returns the median of one figure of a turn.
func (s series) median(name, figure string) float64 {
	var values []float64
	for _, f := range s[name] {
		values = append(values, f[figure])
	}
	return median(values)
}

// ratio returns the ratio of two turns' figures within each repeat, as "median
// (least–greatest)"; "" if either has none.
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

// median returns the median; for an even number of values, the mean of the two
// in the middle.
func median(values []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// childLimit is the time limit of a child.
const childLimit = 5 * time.Minute

// child runs a job in a process of its own, on the client's processor.
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

// newState creates an empty state directory for one child.
func (c *comparison) newState() (string, error) { return os.MkdirTemp(c.dir, "state-") }

// addProfiles sets the profiles that j writes, if they were requested. Later
// repeats overwrite them.
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
