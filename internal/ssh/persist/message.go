package persist

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unicode/utf8"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/sshreason"
)

// magic begins each connection. Version is that of the protocol: one process speaks one.
const (
	magic   = "shoal-persist"
	version = 4
)

// A purpose is why somebody connects to a holder.
type purpose uint8

const (
	purposeRun purpose = iota
	purposeStatus
	purposeRefresh
	purposeStop
)

// A hello is the first frame of each connection.
type hello struct {
	purpose purpose
	idle    time.Duration // the holder stays for this long after the last run
	maxAge  time.Duration // of connections to jump hosts, when the run begins; 0 or less: no limit
	profile profile
}

// A profile is what runs must have in common to share connections, beside what is in their
// targets' settings.
type profile struct {
	timeouts  ssh.Timeouts // without Command, which attempts have
	pipeline  client.Pipeline
	classical bool
	stateDir  string // of the host cache; "": none
}

func (h *hello) encode(e *enc) {
	e.str(magic)
	e.uint(version)
	e.uint(uint64(h.purpose))
	e.dur(h.idle)
	e.dur(h.maxAge)
	t := &h.profile.timeouts
	for _, d := range []time.Duration{t.Connect, t.Dial, t.Kex, t.Auth, t.Session, t.Drain, t.Alive} {
		e.dur(d)
	}
	e.int(int64(t.AliveMax))
	e.uint(uint64(h.profile.pipeline))
	e.bool(h.profile.classical)
	e.str(h.profile.stateDir)
}

var errVersion = errors.New("the holder is of another version of shoal")

func decodeHello(d *dec) (hello, error) {
	if d.str() != magic {
		return hello{}, errMalformed
	}
	if d.uint() != version {
		return hello{}, errVersion
	}
	h := hello{purpose: purpose(d.uint()), idle: d.dur(), maxAge: d.dur()}
	t := &h.profile.timeouts
	for _, to := range []*time.Duration{&t.Connect, &t.Dial, &t.Kex, &t.Auth, &t.Session, &t.Drain, &t.Alive} {
		*to = d.dur()
	}
	t.AliveMax = int(d.int())
	h.profile.pipeline = client.Pipeline(d.uint())
	h.profile.classical = d.bool()
	h.profile.stateDir = d.str()
	if err := d.done(); err != nil {
		return hello{}, err
	}
	if h.purpose > purposeStop || h.profile.pipeline > client.Off || h.idle < 0 {
		return hello{}, errMalformed
	}
	return h, nil
}

// A Status is what a holder says of itself.
type Status struct {
	PID      int           `json:"pid"`
	StateDir string        `json:"state_dir"`
	Version  string        `json:"version"`
	Started  time.Time     `json:"started"`
	Idle     int           `json:"idle"` // connections that no command uses
	Used     int           `json:"used"`
	Runs     int           `json:"runs"`       // that are connected now
	EndsIn   time.Duration `json:"ends_in_ns"` // 0: while a run is connected
	Stays    time.Duration `json:"stays_ns"`   // after the last run
}

// maxExec bounds a command and what else an attempt has that is long.
const maxExec = maxFrame / 2

// maxHops bounds the jump hosts of a target.
const maxHops = 16

// way returns a target and its jump hosts, the last first.
func way(t ssh.Target) []ssh.Target {
	all := []ssh.Target{t}
	for via := t.Jump(); via != nil && len(all) <= maxHops; via = via.Jump() {
		all = append(all, *via)
	}
	return all
}

// encodeTarget encodes a target without its jump hosts. settings is the number of its settings.
func encodeTarget(e *enc, t *ssh.Target, settings uint32) {
	e.uint(uint64(settings))
	e.str(t.Host.Name)
	e.str(t.Host.User)
	e.uint(uint64(t.Host.Port))
	e.str(t.User)
	e.uint(uint64(t.Port))
	r := t.Route
	e.bool(r != nil)
	if r != nil {
		e.str(r.Address)
		e.str(r.HostKeyAlias)
	}
}

// A place is a target as the holder gets it.
type place struct {
	target   fleet.Target
	settings uint32
}

func decodeTarget(d *dec) (p place) {
	p.settings = uint32(d.uint())
	t := &p.target
	t.Host = fleet.Host{Name: d.str(), User: d.str(), Port: uint16(d.uint())}
	t.User, t.Port = d.str(), uint16(d.uint())
	if d.bool() {
		t.Route = &fleet.Route{Address: d.str(), HostKeyAlias: d.str()}
	}
	if t.Dialled() == "" || t.User == "" {
		d.fail()
	}
	return p
}

// encodeAttempt encodes what the holder has to know of an attempt. settings are the numbers of the
// settings of its target and the jump hosts, the last first.
func encodeAttempt(e *enc, a *ssh.Attempt, settings []uint32, connectLeft, limit time.Duration) {
	e.uint(uint64(len(settings)))
	for i, t := range way(a.Target) {
		encodeTarget(e, &t, settings[i])
	}
	e.str(a.Exec())
	e.bool(a.Subsystem)
	e.bool(a.PTY != nil)
	if a.PTY != nil {
		e.str(a.PTY.Term)
		e.uint(uint64(a.PTY.Columns))
		e.uint(uint64(a.PTY.Rows))
	}
	e.dur(connectLeft)
	e.dur(limit)
	e.bool(a.Hold)
	e.bool(a.Idempotent)
	e.bool(a.Keep)
	e.bool(a.Interrupt)
	e.bool(a.HasInput())
	e.bool(a.Verbose != nil)
}

// An order is an attempt as the holder gets it.
type order struct {
	attempt     ssh.Attempt
	way         []place       // the target, and the jump hosts, the last first
	connectLeft time.Duration // until the connect timeout; it may have passed
	input       bool
	verbose     bool
}

func decodeAttempt(d *dec) (*order, error) {
	o := new(order)
	a := &o.attempt
	n := d.uint()
	if n == 0 || n > maxHops+1 {
		return nil, errMalformed
	}
	for range n {
		o.way = append(o.way, decodeTarget(d))
	}
	a.Line = d.str()
	a.Subsystem = d.bool()
	if d.bool() {
		a.PTY = &ssh.PTY{Term: d.str(), Columns: uint32(d.uint()), Rows: uint32(d.uint())}
	}
	o.connectLeft, a.Limit = d.dur(), d.dur()
	a.Hold, a.Idempotent, a.Keep, a.Interrupt = d.bool(), d.bool(), d.bool(), d.bool()
	o.input, o.verbose = d.bool(), d.bool()
	if err := d.done(); err != nil {
		return nil, err
	}
	return o, nil
}

// A remoteError is a cause that came over the socket.
type remoteError struct {
	text    string
	connect bool // ssh.ErrConnectTimeout
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Is(target error) bool { return e.connect && target == ssh.ErrConnectTimeout }

// maxText bounds the text of an error, in bytes.
const maxText = 8 << 10

func cut(s string) string { return s[:min(len(s), maxText)] }

// encodeEnd encodes an end, and the connection that the attempt has had.
func encodeEnd(e *enc, end fleet.End, c *fleet.Connection) {
	e.uint(uint64(end.Outcome))
	e.str(string(end.Reason))
	e.uint(uint64(end.Phase))
	e.uint(uint64(end.Flags))
	e.uint(uint64(end.Status))
	e.str(cut(end.Signal))
	text := ""
	if end.Err != nil {
		text = cut(end.Err.Error())
	}
	e.bool(end.Err != nil)
	e.str(text)
	e.bool(errors.Is(end.Err, ssh.ErrConnectTimeout))
	e.strs(sshreason.TakenBy(end.Err))
	encodeConnection(e, c)
}

func decodeEnd(d *dec) (fleet.End, *fleet.Connection, error) {
	end := fleet.End{
		Outcome: fleet.Outcome(d.uint()), Reason: fleet.Reason(d.str()), Phase: fleet.Phase(d.uint()), Flags: fleet.Flags(d.uint()),
		Status: uint32(d.uint()), Signal: d.str(),
	}
	failed := d.bool()
	cause := &remoteError{text: d.str(), connect: d.bool()}
	taken := d.strs()
	if failed {
		end.Err = cause
		if len(taken) > 0 {
			end.Err = sshreason.Taken(cause, taken)
		}
	}
	c := decodeConnection(d)
	if err := d.done(); err != nil {
		return fleet.End{}, nil, err
	}
	if end.Outcome == fleet.OutcomeNone || end.Outcome >= fleet.NumOutcomes || end.Phase >= fleet.NumPhases || failed != (end.Err != nil) {
		return fleet.End{}, nil, errMalformed
	}
	return end, c, nil
}

func encodeConnection(e *enc, c *fleet.Connection) {
	if c == nil {
		c = &fleet.Connection{Why: fleet.DialNew}
	}
	e.bool(c.Held)
	e.dur(c.Age)
	e.str(string(c.Why))
}

func decodeConnection(d *dec) *fleet.Connection {
	return &fleet.Connection{Held: d.bool(), Age: d.dur(), Why: fleet.DialReason(d.str())}
}

// A question is what the holder asks about an attempt, at its target or at one of the jump hosts.
type question uint8

const (
	askAlgorithms question = iota // which host-key algorithms to offer
	askCheck                      // address, host key → proven
	askAccepted                   // host key → proven
	askAdmit                      // host key, those of the jump hosts, user key, age → why not
	askHops                       // host keys of the jump hosts
	askSigners                    // → keys
	askSign                       // number of the key, algorithm, data → signature
	askIntend                     // address that was dialled; the command is about to be sent
)

// encodeRefusal encodes an error as an answer; nil is an answer without one, and its fields follow.
func encodeRefusal(e *enc, err error) {
	e.bool(err != nil)
	if err == nil {
		return
	}
	reason, text := fleet.ReasonNone, err
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		reason, text = f.Reason, f.Err
	}
	e.str(string(reason))
	e.str(cut(text.Error()))
}

// refusal returns the error of an answer, with its reason if it has one.
func refusal(d *dec) error {
	if !d.bool() {
		if d.bad {
			return errMalformed
		}
		return nil
	}
	reason, text := fleet.Reason(d.str()), d.str()
	if err := d.done(); err != nil {
		return err
	}
	cause := errors.New(text)
	if reason == fleet.ReasonNone {
		return cause
	}
	return &fleet.Error{Host: "", Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseHostkey, Reason: reason, Err: cause}
}

// encodeSettings encodes settings so that equal ones of other working directories are equal.
func encodeSettings(s *ssh.Settings) ([]byte, error) {
	own := *s
	for _, paths := range []*[]string{&own.Keys.Files, &own.Keys.Certificates, &own.Keys.Hardware, &own.Known.Files, &own.Known.Revoked} {
		whole := make([]string, len(*paths))
		for i, path := range *paths {
			if whole[i] = path; !filepath.IsAbs(path) {
				if abs, err := filepath.Abs(path); err == nil {
					whole[i] = abs
				}
			}
		}
		*paths = whole
	}
	for _, variable := range own.Env {
		if !utf8.ValidString(variable) {
			return nil, errors.New("a variable has bytes that JSON cannot have")
		}
	}
	text, err := json.Marshal(&own)
	if err != nil {
		return nil, fmt.Errorf("encoding the settings of a target: %w", err)
	}
	if len(text) > maxExec {
		return nil, fmt.Errorf("the settings of a target have %d bytes", len(text))
	}
	return text, nil
}
