package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"shoal/fleet"
)

// Files are the names of the files with a result's output, by stream; "" means that the
// output is in the line.
type Files [fleet.NumStreams]string

// appendResult is written by hand because encoding/json takes three times as long here
// (see the benchmark) and does not escape C1 control characters. Outputs for which a line of MaxLine
// has no room are cut.
func appendResult(dst []byte, r *fleet.Result, files Files) []byte {
	return appendWithin(dst, r, files, MaxLine)
}

func appendWithin(dst []byte, r *fleet.Result, files Files, maxLine int) []byte {
	r = fitted(r, files, maxLine)
	dst = append(dst, `{"type":"result"`...)
	dst = appendTarget(dst, &r.Target)
	dst = appendEnd(dst, r)
	for s, out := range []*fleet.Output{&r.Stdout, &r.Stderr} {
		stream := fleet.Stream(s).String()
		if files[s] != "" {
			dst = appendText(dst, stream+"_file", files[s])
		} else {
			dst = appendText(dst, stream, out.Bytes)
		}
		dst = appendInt(dst, stream+"_size", out.Size)
	}
	return append(dst, "}\n"...)
}

// AppendEnd appends r without its target and the bytes of its output: one JSON object with
// the members of a result line, without a newline. The journal keeps results in this form.
func AppendEnd(dst []byte, r *fleet.Result) []byte {
	dst = append(dst, `{"type":"result"`...)
	dst = appendEnd(dst, r)
	dst = appendInt(dst, "stdout_size", r.Stdout.Size)
	dst = appendInt(dst, "stderr_size", r.Stderr.Size)
	return append(dst, '}')
}

func appendTarget(dst []byte, t *fleet.Target) []byte {
	dst = appendInt(dst, "index", int64(t.Index))
	dst = appendText(dst, "host", t.Host.Name)
	if t.Host.User != "" {
		dst = appendText(dst, "host_user", t.Host.User)
	}
	if t.Host.Port != 0 {
		dst = appendInt(dst, "host_port", int64(t.Host.Port))
	}
	if t.User != "" {
		dst = appendText(dst, "user", t.User)
	}
	if t.Port != 0 {
		dst = appendInt(dst, "port", int64(t.Port))
	}
	if t.Command != "" {
		dst = appendText(dst, "command", t.Command)
	}
	return dst
}

func appendEnd(dst []byte, r *fleet.Result) []byte {
	dst = appendText(dst, "outcome", r.Outcome.String())
	if r.Reason != fleet.ReasonNone {
		dst = appendText(dst, "reason", string(r.Reason))
	}
	if r.Phase != fleet.PhaseNone {
		dst = appendText(dst, "phase", r.Phase.String())
	}
	if names := r.Flags.Names(); len(names) > 0 {
		dst = append(appendKey(dst, "flags"), '[')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendQuoted(dst, name)
		}
		dst = append(dst, ']')
	}
	if r.Attempt != 0 {
		dst = appendInt(dst, "attempt", int64(r.Attempt))
	}
	dst = appendTime(dst, "started", r.Started)
	dst = appendTook(dst, &r.Took)
	switch c := r.Connection; {
	case c == nil:
	case c.Held:
		dst = appendInt(dst, "held_ns", c.Age.Nanoseconds())
	default:
		dst = appendText(dst, "dialled", string(c.Why))
	}
	if r.Status != 0 || r.Flags.Has(fleet.FlagExitKnown) && r.Signal == "" {
		dst = appendInt(dst, "exit_status", int64(r.Status))
	}
	if r.Signal != "" {
		dst = appendText(dst, "exit_signal", r.Signal)
	}
	if r.Err != nil {
		dst = appendText(dst, "error", r.Err.Error())
	}
	if r.AgentSignatures != 0 {
		dst = appendInt(dst, "agent_signatures", int64(r.AgentSignatures))
	}
	if r.BecomeOutput != "" {
		dst = appendText(dst, "become_output", r.BecomeOutput)
	}
	return dst
}

func appendTook(dst []byte, took *fleet.Durations) []byte {
	begin := len(dst)
	for p, d := range took {
		if d != 0 {
			dst = appendInt(dst, fleet.Phase(p).String(), d.Nanoseconds())
		}
	}
	if len(dst) == begin {
		return dst
	}
	// The members are written already, each after a comma. Insert the key before them, and
	// the brace in place of the first comma.
	members := string(dst[begin+1:])
	dst = append(appendKey(dst[:begin], "took_ns"), '{')
	dst = append(dst, members...)
	return append(dst, '}')
}

// resultLine, as the structs of the other lines, is what the schema is generated from: the tag
// schema says which members are always there, and which are names of an enumeration.
type resultLine struct {
	Index            int    `json:"index" schema:"always"`
	Host             string `json:"host" schema:"always"`
	HostEncoding     string `json:"host_encoding"`
	HostUser         string `json:"host_user"`
	HostUserEncoding string `json:"host_user_encoding"`
	HostPort         uint16 `json:"host_port"`
	User             string `json:"user"`
	UserEncoding     string `json:"user_encoding"`
	Port             uint16 `json:"port"`
	Command          string `json:"command"`
	CommandEncoding  string `json:"command_encoding"`
	endLine
	Stdout         string `json:"stdout"`
	StdoutEncoding string `json:"stdout_encoding"`
	StdoutFile     string `json:"stdout_file"`
	StdoutFileEnc  string `json:"stdout_file_encoding"`
	Stderr         string `json:"stderr"`
	StderrEncoding string `json:"stderr_encoding"`
	StderrFile     string `json:"stderr_file"`
	StderrFileEnc  string `json:"stderr_file_encoding"`
}

// endLine has the members that AppendEnd writes.
type endLine struct {
	Outcome        string           `json:"outcome" schema:"always,outcome"`
	Reason         string           `json:"reason"`
	ReasonEncoding string           `json:"reason_encoding"`
	Phase          string           `json:"phase" schema:"phase"`
	Flags          []string         `json:"flags"`
	Attempt        int              `json:"attempt"`
	Started        time.Time        `json:"started"`
	TookNS         map[string]int64 `json:"took_ns" schema:"phase"`
	ExitStatus     uint32           `json:"exit_status"`
	Signal         string           `json:"exit_signal"`
	SignalEncoding string           `json:"exit_signal_encoding"`
	Error          *string          `json:"error"`
	ErrorEncoding  string           `json:"error_encoding"`
	Signatures     int              `json:"agent_signatures"`
	BecomeOutput   string           `json:"become_output"`
	BecomeEncoding string           `json:"become_output_encoding"`
	HeldNS         *int64           `json:"held_ns"`
	Dialled        string           `json:"dialled"`
	DialledEnc     string           `json:"dialled_encoding"`
	StdoutSize     int64            `json:"stdout_size" schema:"always"`
	StderrSize     int64            `json:"stderr_size" schema:"always"`
}

func decodeResult(line []byte) (*fleet.Result, Files, error) {
	var l resultLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, Files{}, fmt.Errorf("decoding a result: %w", err)
	}
	l.Flags = slices.DeleteFunc(l.Flags, func(name string) bool {
		_, err := fleet.ParseFlag(name)
		return err != nil // of a newer program; see the rule for versions
	})
	r, err := l.result()
	if err != nil {
		return nil, Files{}, err
	}
	texts := textDecoder{}
	r.Target = fleet.Target{
		Host: fleet.Host{
			Name: texts.decode("host", l.Host, l.HostEncoding),
			Port: l.HostPort,
			User: texts.decode("host_user", l.HostUser, l.HostUserEncoding),
		},
		Index:   l.Index,
		User:    texts.decode("user", l.User, l.UserEncoding),
		Port:    l.Port,
		Command: texts.decode("command", l.Command, l.CommandEncoding),
	}
	r.Stdout.Bytes = []byte(texts.decode("stdout", l.Stdout, l.StdoutEncoding))
	r.Stderr.Bytes = []byte(texts.decode("stderr", l.Stderr, l.StderrEncoding))
	files := Files{
		texts.decode("stdout_file", l.StdoutFile, l.StdoutFileEnc),
		texts.decode("stderr_file", l.StderrFile, l.StderrFileEnc),
	}
	if texts.err != nil {
		return nil, Files{}, texts.err
	}
	return r, files, nil
}

// DecodeEnd is the inverse of AppendEnd. It refuses flags that it does not know: runs are
// resumed by what it returns.
func DecodeEnd(object []byte) (*fleet.Result, error) {
	if err := checkUnicode(object); err != nil {
		return nil, fmt.Errorf("decoding a result: %w", err)
	}
	var l endLine
	if err := json.Unmarshal(object, &l); err != nil {
		return nil, fmt.Errorf("decoding a result: %w", err)
	}
	return l.result()
}

// result returns the result without its target and the bytes of its output.
func (l *endLine) result() (*fleet.Result, error) {
	r := &fleet.Result{Attempt: l.Attempt, Started: l.Started, AgentSignatures: l.Signatures}
	r.Stdout.Size, r.Stderr.Size = l.StdoutSize, l.StderrSize
	texts := textDecoder{}
	r.Reason = fleet.Reason(texts.decode("reason", l.Reason, l.ReasonEncoding))
	r.Status = l.ExitStatus
	r.Signal = texts.decode("exit_signal", l.Signal, l.SignalEncoding)
	r.BecomeOutput = texts.decode("become_output", l.BecomeOutput, l.BecomeEncoding)
	switch dialled := texts.decode("dialled", l.Dialled, l.DialledEnc); {
	case l.HeldNS != nil:
		r.Connection = &fleet.Connection{Held: true, Age: time.Duration(*l.HeldNS)}
	case dialled != "":
		r.Connection = &fleet.Connection{Why: fleet.DialReason(dialled)}
	}
	if l.Error != nil {
		r.Err = errors.New(texts.decode("error", *l.Error, l.ErrorEncoding))
	}
	if texts.err != nil {
		return nil, texts.err
	}
	return r, l.names(r)
}

// names sets the fields of r whose values have names in package fleet.
func (l *endLine) names(r *fleet.Result) (err error) {
	if r.Outcome, err = fleet.ParseOutcome(l.Outcome); err != nil {
		return err
	}
	if l.Phase != "" {
		if r.Phase, err = fleet.ParsePhase(l.Phase); err != nil {
			return err
		}
	}
	for _, name := range l.Flags {
		flag, err := fleet.ParseFlag(name)
		if err != nil {
			return err
		}
		r.Flags |= flag
	}
	for name, ns := range l.TookNS {
		p, err := fleet.ParsePhase(name)
		if err != nil {
			return err
		}
		r.Took[p] = time.Duration(ns)
	}
	return nil
}
