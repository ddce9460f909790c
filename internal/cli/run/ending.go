package run

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/output"
	"shoal/internal/plainfile"
	"shoal/internal/ui"
	"shoal/record"
)

// EndFlags are the flags for what is done when a run has ended. They are not part of the run: the
// journal does not keep them.
type EndFlags struct {
	metrics string
	onEnd   string
	taken   output.Metrics
}

// Ending returns the flags as a group.
func (f *EndFlags) Ending() flags.FlagGroup {
	g := flags.NewGroup("When the run has ended")
	g.StringVar(&f.metrics, "metrics", "", "write the numbers of the run to `FILE`, for Prometheus' node exporter: it ends in .prom there")
	g.BoolVar(&f.taken.EachHost, "metrics-hosts", false, "with the outcome of each host in --metrics")
	g.StringVar(&f.onEnd, "on-end", "", "have sh -c run `CMD` here, for a message: the summary is its standard input, in JSON")
	return g
}

// Validate returns an error for flags without effect, and for a file that could not be written.
func (f *EndFlags) Validate() error {
	switch {
	case f.metrics == "" && f.taken.EachHost:
		return errors.New("--metrics-hosts is for --metrics, which is missing")
	}
	return CheckMetrics(f.metrics)
}

// CheckMetrics returns an error if the file of --metrics could not be written; "" is none.
func CheckMetrics(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return hint.New(fmt.Sprintf("--metrics %.200q is no regular file, which it would be replaced by", path), "name a file in a directory that can be written to")
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".shoal.*")
	if err != nil {
		return fmt.Errorf("--metrics: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// take counts a result.
func (f *EndFlags) take(r *fleet.Result) {
	if f != nil && f.metrics != "" {
		f.taken.Add(r)
	}
}

// MetricsName returns the label that tells the series of one --metrics from those of others in
// its directory: the file's name without .prom.
func MetricsName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".prom") }

// WriteMetrics replaces the file of --metrics, and says what failed.
func WriteMetrics(path string, text []byte, stderr io.Writer) (ok bool) {
	err := plainfile.Replace(path, 0o644, func(w io.Writer) error { _, err := w.Write(text); return err })
	if err != nil {
		console.Complain(stderr, fmt.Errorf("writing --metrics: %w", err))
	}
	return err == nil
}

// hookTimeout is how long a command may take that a flag names.
const hookTimeout = time.Minute

// ended does what the flags ask for. Errors change no result: they are said.
func (f *EndFlags) ended(ctx context.Context, h record.Header, s *record.Summary, exitCode int, stderr io.Writer) {
	if f == nil {
		return
	}
	now := time.Now()
	if f.metrics != "" {
		f.taken.Name = MetricsName(f.metrics)
		text := f.taken.Text(s, h.Started, now, exitCode)
		if WriteMetrics(f.metrics, text, stderr) && f.taken.EachHost {
			console.Say(stderr, "%s series are in %s", ui.Count(int64(output.MetricsSeries(text))), ui.Visible(f.metrics))
		}
	}
	if f.onEnd == "" {
		return
	}
	text, err := json.Marshal(endOf(h, s, now, exitCode))
	if err != nil {
		console.Complain(stderr, fmt.Errorf("the summary for --on-end: %w", err))
		return
	}
	RunHook(context.WithoutCancel(ctx), "--on-end", f.onEnd, text, stderr)
}

// RunHook has sh run the command of a flag, with a line of JSON as its standard input, for a
// minute at most, and says what it prints and how it fails.
func RunHook(ctx context.Context, flag, command string, input []byte, stderr io.Writer) {
	ctx, cancel := context.WithTimeoutCause(ctx, hookTimeout, fmt.Errorf("it took longer than %v", hookTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin, cmd.WaitDelay = strings.NewReader(string(input)+"\n"), time.Second
	said := &console.Beginning{Left: 4 << 10}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	for line := range strings.Lines(said.String()) {
		console.Say(stderr, "%s: %s", flag, ui.Visible(strings.TrimSuffix(line, "\n")))
	}
	if err != nil {
		console.Complain(stderr, fmt.Errorf("the command of %s: %w", flag, err))
	}
}

// A runEnd is what the command of --on-end gets. Members are only ever added.
type runEnd struct {
	Version         int            `json:"version"`
	Run             string         `json:"run,omitempty"` // absent without a journal
	Program         string         `json:"program"`
	Command         string         `json:"command"`
	CommandEncoding string         `json:"command_encoding,omitempty"` // base64, if the command is no UTF-8
	Started         time.Time      `json:"started"`
	Ended           time.Time      `json:"ended"`
	Targets         int            `json:"targets"`
	Outcomes        map[string]int `json:"outcomes"`
	Causes          []runCause     `json:"causes"` // of the targets that did not end well, the most frequent first
	ExitCode        int            `json:"exit_code"`
	Interrupted     bool           `json:"interrupted"`
	Text            string         `json:"text"` // the summary for people
}

type runCause struct {
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason,omitempty"`
	ExitStatus uint32 `json:"exit_status,omitempty"`
	ExitSignal string `json:"exit_signal,omitempty"` // escaped
	Targets    int    `json:"targets"`
	Hosts      string `json:"hosts"` // folded, as -w takes them
}

func endOf(h record.Header, s *record.Summary, ended time.Time, exitCode int) runEnd {
	end := runEnd{
		Version: 1, Run: h.Run, Program: h.Program, Command: h.Command, Started: h.Started, Ended: ended,
		Targets: s.Targets(), Outcomes: make(map[string]int), Causes: []runCause{},
		ExitCode: exitCode, Interrupted: s.Interrupted, Text: strings.TrimSuffix(output.SummaryText(s, 0, false), "\n"),
	}
	if !utf8.ValidString(h.Command) {
		end.Command, end.CommandEncoding = base64.StdEncoding.EncodeToString([]byte(h.Command)), "base64"
	}
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		if n := s.Outcomes[o]; n > 0 {
			end.Outcomes[o.String()] = n
		}
	}
	for _, g := range s.Groups() {
		end.Causes = append(end.Causes, runCause{
			Outcome: g.Outcome.String(), Reason: string(g.Reason), ExitStatus: g.Status, ExitSignal: ui.Visible(g.Signal),
			Targets: g.Targets, Hosts: expr.Fold(g.Hosts),
		})
	}
	return end
}
