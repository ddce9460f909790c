package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// Limits of a shard.
const (
	maxHosts   = 200
	maxName    = 64        // of a run, pool or worker
	maxCommand = 128 << 10 // of one host
	maxIndex   = 1 << 30   // of a host in its run, as in the journal
)

// ShardFormat is raised when a worker of another version would misread a shard, or refuse it for a reason that nobody
// understands. 2 has Log.
const ShardFormat = 2

// A formatError is a shard of another format, the number.
type formatError int

func (e formatError) Error() string {
	maker := "a newer"
	if e < ShardFormat {
		maker = "an older"
	}
	return fmt.Sprintf("a shard of format %d, which %s shoal makes; this one runs format %d: give both sides the same version of shoal", int(e), maker, ShardFormat)
}

// A Shard is what a coordinator asks a worker to run. It is signed as a whole.
type Shard struct {
	Format int    `json:"format"` // ShardFormat
	Run    string `json:"run"`
	Number int    `json:"shard"`
	Pool   string `json:"pool"`
	// Made and Expires bound when a worker may take it.
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	// Log is the log that it is for: workers run it in no other.
	Log     Origin  `json:"log"`
	Options Options `json:"options"`
	Hosts   []Host  `json:"hosts"`
}

// Options are those of a run that its workers apply; all shards of a run have the same. Zero
// values mean the worker's defaults.
type Options struct {
	Timeouts   ssh.Timeouts `json:"timeouts"`
	Attempts   int          `json:"attempts,omitempty"`
	Idempotent bool         `json:"idempotent,omitempty"`
	MaxOutput  int64        `json:"max_output,omitempty"`
	// Stream has output written into the log as it comes, up to this many bytes of each stream of a host,
	// and not with the result; 0 means with the result. It does not go with Idempotent.
	Stream int64 `json:"stream,omitempty"`
	// Pull means that the output is files: whoever attaches to the run has not stored them.
	Pull bool `json:"pull,omitempty"`
}

// A Host is a target. How it is reached, beside its address, is the worker's to know: its keys, its
// agent, its known_hosts, its ssh_config.
type Host struct {
	Host  fleet.Host `json:"host"`
	Index int        `json:"index"` // in the run
	User  string     `json:"user"`
	Port  uint16     `json:"port"`
	// Address is dialled in place of the name, and HostKeyAlias looked up in known_hosts; ""
	// means the name.
	Address      string `json:"address,omitempty"`
	HostKeyAlias string `json:"host_key_alias,omitempty"`
	// At is dialled in place of the name's addresses, and Anew means that no connection that is held is
	// used; see ssh.Attempt.
	At   *netip.AddrPort `json:"at,omitempty"`
	Anew bool            `json:"anew,omitempty"`
	// Command is the text of the exec request, with its wrapper if it has one.
	Command []byte `json:"command"`
	// Become is the user as whom it runs; nil means User. Command is then not wrapped for that yet.
	Become *Become `json:"become,omitempty"`
	// Input is the standard input; nil means none.
	Input *Input `json:"input,omitempty"`
	// PTY is the pseudo-terminal; nil means none.
	PTY *ssh.PTY `json:"pty,omitempty"`
	// Limit replaces the command timeout; 0 means that it does not, negative means none.
	Limit time.Duration `json:"limit,omitempty"`
	// Wrapped means that the exit status and output of the command may be those of its wrapper.
	Wrapped bool `json:"wrapped,omitempty"`
	// Aside means that it is a further command for a host that has its result, which this is not.
	Aside bool `json:"aside,omitempty"`
}

// DecodeShard reads a shard and checks that it is within the limits. Of one of another format the error is a
// formatError.
func DecodeShard(text []byte) (*Shard, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // whoever signed it wanted something that we do not know
	s := new(Shard)
	if err := d.Decode(s); err != nil {
		var head struct {
			Format int `json:"format"`
		}
		if json.Unmarshal(text, &head) == nil && head.Format != ShardFormat {
			return nil, formatError(head.Format)
		}
		return nil, fmt.Errorf("reading a shard: %w", err)
	}
	return s, s.validate()
}

func (s *Shard) validate() error {
	switch {
	case s.Format != ShardFormat:
		return formatError(s.Format)
	case !validName(s.Run), !validName(s.Pool), s.Number < 0:
		return errors.New("a shard without the names of its run and pool")
	case len(s.Hosts) == 0 || len(s.Hosts) > maxHosts:
		return fmt.Errorf("a shard of %d hosts", len(s.Hosts))
	}
	if o := s.Options; o.Stream < 0 || o.Stream > 0 && o.Idempotent {
		return errors.New("a shard whose output comes as it is written, and that may run twice")
	}
	if err := s.Options.Timeouts.Validate(); err != nil {
		return fmt.Errorf("reading a shard: %w", err)
	}
	inputs := make(map[string]int)
	for _, h := range s.Hosts {
		if h.Input != nil {
			if err := h.Input.validate(); err != nil {
				return err
			}
			inputs[h.Input.Digest] = h.Input.Size
		}
		if h.Become != nil {
			if err := h.Become.validate(); err != nil {
				return err
			}
		}
		switch {
		case h.Index < 0 || h.Index > maxIndex:
			return fmt.Errorf("a shard with a host whose index is %d", h.Index)
		case h.Host.Name == "" || h.User == "" || h.Port == 0:
			return errors.New("a shard with a host that has no name, user or port")
		case len(h.Command) == 0 || len(h.Command) > maxCommand:
			return fmt.Errorf("a shard with a command of %d bytes", len(h.Command))
		case strings.ContainsAny(h.Host.Name+h.User+h.Address+h.HostKeyAlias, " \t\r\n\x00\"'%\\"):
			return fmt.Errorf("a shard with the host %.80q", h.Host)
		case h.PTY != nil && (len(h.PTY.Term) > maxName || strings.ContainsAny(h.PTY.Term, "\x00\r\n")):
			return fmt.Errorf("a shard with a terminal of type %.80q", h.PTY.Term)
		}
	}
	sum := 0
	for _, size := range inputs {
		if sum += size; sum > maxInputs {
			return errLargeInputs
		}
	}
	return nil
}

var errLargeInputs = fmt.Errorf("a shard with standard inputs of more than %d bytes", maxInputs)

// validName reports whether the name may be a part of a NATS subject and of a stream's name.
func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
}

// target returns the host as a target with this index.
func (h *Host) target(index int) fleet.Target {
	return fleet.Target{Host: h.Host, Index: index, User: h.User, Port: h.Port, Command: string(h.Command)}
}

// splitSigned separates a shard from its signature, and joinSigned is the inverse.
func splitSigned(body []byte) (signed, signature []byte, err error) {
	const end = "-----END SSH SIGNATURE-----\n"
	i := bytes.Index(body, []byte(end))
	if i < 0 {
		return nil, nil, errors.New("a shard without a signature")
	}
	return body[i+len(end):], body[:i+len(end)], nil
}

func joinSigned(signed, signature []byte) []byte { return append(bytes.Clone(signature), signed...) }

// The subjects and streams.
const (
	workStream = "SHOAL_WORK"
	beatStream = "SHOAL_BEAT"
	runPrefix  = "SHOAL_RUN_"
)

func runStream(run string) string { return runPrefix + run }

// coordinatorName stands for the coordinator where workers have their names. No worker can have it.
const coordinatorName = "@"

// logSubject is that of the records of one writer; "*" are those of all. That each writer has its own
// lets permissions say who may write as whom; appends name the last sequence of all of them.
func logSubject(pool, run string, shard int, writer string) string {
	return fmt.Sprintf("log.%s.%s.%d.%s", pool, run, shard, writer)
}

func lateSubject(pool, run string, shard int, writer string) string {
	return fmt.Sprintf("late.%s.%s.%d.%s", pool, run, shard, writer)
}

func workSubject(pool, run string, shard int) string {
	return fmt.Sprintf("work.%s.%s.%d", pool, run, shard)
}

func dataSubject(pool, run, digest string) string { return "data." + pool + "." + run + "." + digest }

func beatSubject(pool, worker string) string     { return "beat." + pool + "." + worker }
func askSubject(pool, run, worker string) string { return "ask." + pool + "." + run + "." + worker }
func freeSubject(pool, worker string) string     { return "free." + pool + "." + worker }
func controlSubject(pool, run string) string     { return "control." + pool + "." + run }

// parseSubject returns the parts of a subject of a log, of what is late, or of a hint, which has no
// writer.
func parseSubject(subject string) (kind, pool, run string, shard int, writer string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) < 4 || len(parts) > 5 || (len(parts) == 4) != (parts[0] == "work") || !validName(parts[1]) || !validName(parts[2]) {
		return "", "", "", 0, "", false
	}
	if shard, ok = parseNumber(parts[3]); !ok {
		return "", "", "", 0, "", false
	}
	if len(parts) == 5 {
		writer = parts[4]
		if writer != coordinatorName && !validName(writer) {
			return "", "", "", 0, "", false
		}
	}
	return parts[0], parts[1], parts[2], shard, writer, true
}

func parseNumber(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == text
}
