package watch

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/groups"
	"shoal/internal/ui"
	"shoal/internal/watch"
)

// A tickLine is a line of --json, and with the run and command what the command of --on-change
// gets. Members are only ever added.
type tickLine struct {
	Type            string         `json:"type"` // tick, or change
	Version         int            `json:"version"`
	Run             string         `json:"run,omitempty"` // absent without a journal
	Program         string         `json:"program,omitempty"`
	Command         string         `json:"command,omitempty"`
	CommandEncoding string         `json:"command_encoding,omitempty"`
	Tick            int            `json:"tick"`
	Began           time.Time      `json:"began"`
	TookNS          int64          `json:"took_ns"`
	LateNS          int64          `json:"late_ns"`
	Missed          int            `json:"missed"`
	LeftOut         int            `json:"left_out,omitempty"` // hosts whose earlier command still ran
	Targets         int            `json:"targets"`
	Outcomes        map[string]int `json:"outcomes"`
	Held            int            `json:"held"`
	Dialled         map[string]int `json:"dialled,omitempty"` // by the reason why no held connection was used
	OldestAnswer    *time.Time     `json:"oldest_answer,omitempty"`
	Answers         int            `json:"answers,omitempty"` // different ones
	Changes         []changeLine   `json:"changes"`
	More            int            `json:"more_changes,omitempty"` // beyond maxChanges
}

// A changeLine is the same event at some hosts.
type changeLine struct {
	Kind    string      `json:"kind"`
	Hosts   string      `json:"hosts"` // folded, as -w takes them
	Targets int         `json:"targets"`
	Now     answerLine  `json:"now"`
	Before  *answerLine `json:"before,omitempty"`
	Since   *time.Time  `json:"before_at,omitempty"` // when Before was given last
	Of      string      `json:"of"`                  // the host whose answers these are
}

type answerLine struct {
	Outcome        string  `json:"outcome"`
	Reason         string  `json:"reason,omitempty"`
	Phase          string  `json:"phase,omitempty"`
	ExitStatus     *uint32 `json:"exit_status,omitempty"`
	ExitSignal     string  `json:"exit_signal,omitempty"` // escaped
	Error          string  `json:"error,omitempty"`
	Stdout         *string `json:"stdout,omitempty"` // absent if it was not kept
	StdoutEncoding string  `json:"stdout_encoding,omitempty"`
	StdoutCut      bool    `json:"stdout_cut,omitempty"` // beyond maxText
	Stderr         *string `json:"stderr,omitempty"`
	StderrEncoding string  `json:"stderr_encoding,omitempty"`
	StderrCut      bool    `json:"stderr_cut,omitempty"`
}

const (
	maxChanges = 1000
	maxText    = 16 << 10 // bytes of a stream in a line
)

func (w *watcher) lineOf(kind string, r *round, changes []watch.Change) tickLine {
	line := tickLine{
		Type: kind, Version: 1, Run: w.header.Run, Tick: r.N, Began: r.began, TookNS: r.ended.Sub(r.began).Nanoseconds(), LateNS: r.Late.Nanoseconds(),
		Missed: r.Missed, LeftOut: r.without, Targets: w.total, Outcomes: make(map[string]int), Held: r.held, Dialled: make(map[string]int),
		Changes: []changeLine{},
	}
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		if n := r.summary.Outcomes[o]; n > 0 {
			line.Outcomes[o.String()] = n
		}
	}
	for why, n := range r.dialled {
		line.Dialled[string(why)] = n
	}
	for i := range changes {
		if i == maxChanges {
			line.More = len(changes) - i
			break
		}
		c := &changes[i]
		one := changeLine{Kind: c.Kind.String(), Hosts: expr.Fold(groups.Hosts(c.Members)), Targets: len(c.Members), Of: c.Host.Host, Now: answerOf(&c.End, c.Now)}
		if c.Before != nil {
			before := answerOf(&c.Before.End, c.Before)
			one.Before = &before
			if !c.Since.IsZero() {
				one.Since = &c.Since
			}
		}
		line.Changes = append(line.Changes, one)
	}
	return line
}

func answerOf(end *fleet.End, a *watch.Answer) answerLine {
	line := answerLine{Outcome: end.Outcome.String(), Reason: string(end.Reason), Phase: end.Phase.String(), ExitSignal: ui.Visible(end.Signal)}
	if end.Flags.Has(fleet.FlagExitKnown) && end.Signal == "" {
		line.ExitStatus = &end.Status
	}
	if end.Err != nil {
		line.Error = fmt.Sprintf("%.1000s", end.Err.Error())
	}
	if a != nil && a.Kept {
		line.Stdout, line.StdoutEncoding, line.StdoutCut = textOf(a.Outputs[fleet.Stdout])
		line.Stderr, line.StderrEncoding, line.StderrCut = textOf(a.Outputs[fleet.Stderr])
	}
	return line
}

func textOf(text []byte) (_ *string, encoding string, cut bool) {
	if cut = len(text) > maxText; cut {
		text = text[:maxText]
	}
	s := string(text)
	if !utf8.ValidString(s) {
		s, encoding = base64.StdEncoding.EncodeToString(text), "base64"
	}
	return &s, encoding, cut
}

// changeJSON returns what the command of --on-change gets.
func (w *watcher) changeJSON(r *round, changes []watch.Change) ([]byte, error) {
	line := w.lineOf("change", r, changes)
	line.Program, line.Command = w.header.Program, w.header.Command
	if !utf8.ValidString(line.Command) {
		line.Command, line.CommandEncoding = base64.StdEncoding.EncodeToString([]byte(line.Command)), "base64"
	}
	return encode(line)
}

func encode(line tickLine) ([]byte, error) {
	text, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return text, nil
}

// writeJSON writes the line of a tick.
func (w *watcher) writeJSON(r *round, changes []watch.Change, state watch.State) error {
	line := w.lineOf("tick", r, changes)
	line.Answers = state.Answers
	if !state.Oldest.IsZero() {
		line.OldestAnswer = &state.Oldest
	}
	text, err := encode(line)
	if err != nil {
		return err
	}
	if w.view.out.Escape {
		text = ui.AppendVisible(nil, text, ui.KeepNewline)
	}
	_, err = w.view.out.W.Write(append(text, '\n'))
	return err
}
