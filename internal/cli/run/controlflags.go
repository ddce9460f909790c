package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"shoal/internal/cli/flags"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/hint"
)

// ControlFlags are the flags for the engine: fanout, rollout, retries, limits
// and timeouts.
type ControlFlags struct {
	Fanout, dials, starts int
	commandTimeout        flags.Seconds
	Timeout               flags.Seconds
	Rate                  float64

	attempts   int
	idempotent bool

	persist, maxAge flags.Seconds

	rollout             string
	pause               flags.Seconds
	check               string
	maxFail, maxUnknown string
	failFast, barrier   bool
	Canary              []string

	CheckDir string // working directory of --check; "" means the current one
}

// Control returns the flags as a group.
func (f *ControlFlags) Control() flags.FlagGroup {
	g := flags.NewGroup("Control")
	g.VarP((*flags.Count)(&f.Fanout), "fanout", "f", "work on `N` targets at once (default: what files and memory allow)")
	g.IntVar(&f.dials, "dials", 0, fmt.Sprintf("start `N` connections at once (default %d, and more where only the way or the servers take long)", engine.DefaultDials))
	g.IntVar(&f.starts, "starts-per-host", 0, fmt.Sprintf("start `N` connections at once to one server; -1 for no limit (default: what it bears, from %d on)", engine.DefaultStarts))
	g.Float64Var(&f.Rate, "rate", 0, "start `N` connections a second at the most (default: no limit)")
	g.VarP(&f.commandTimeout, "command-timeout", "u", "give up on a command after this time; it may go on there (default: never)")
	g.Var(&f.Timeout, "timeout", "stop the whole run after this time (default: never)")
	g.IntVar(&f.attempts, "attempts", engine.DefaultAttempts, "make `N` attempts at a target at the most; only what certainly did not run is tried again")
	g.BoolVar(&f.idempotent, "idempotent", false, "the command may run more than once: try again too where it is not known whether it ran; output of the failed attempt that was shown by then stays, which standard error says")
	g.StringVar(&f.rollout, "rollout", "", "let the targets go in `STAGES` such as 1,1%,10%,100%")
	g.Var(&f.pause, "pause", "the time between two stages")
	g.StringVar(&f.check, "check", "", "run `CMD` here between two stages; the rollout stops when it fails")
	g.StringVar(&f.maxFail, "max-fail", "", "start nothing more when `N` or N% of the targets have failed or were never started")
	g.StringVar(&f.maxUnknown, "max-unknown", "", "start nothing more when of `N` or N% of the targets it is unknown whether the command ran")
	g.BoolVar(&f.failFast, "fail-fast", false, "start nothing more after the first target that is not ok")
	g.BoolVar(&f.barrier, "barrier", false, "log in everywhere, then start all commands together")
	g.Var(&f.persist, "persist", "have a process hold the connections for later runs, until none has come for this time; see shoal persist")
	g.Var(&f.maxAge, "hold-max-age", "with --persist, log in anew where a held connection is older than this: a login does not see later changes of rights (default 1h)")
	g.StringArrayVar(&f.Canary, "canary", nil, "let these hosts of the run go first, in a stage before those of --rollout (`EXPR` as in -w)")
	return g
}

// Apply sets the options of these flags.
func (f *ControlFlags) Apply(o *connect.Options) (err error) {
	if f.starts < -1 {
		return fmt.Errorf("--starts-per-host %d: write -1 for no limit", f.starts)
	}
	if err := f.setPersist(o); err != nil {
		return err
	}
	o.Timeouts.Command = f.commandTimeout.Duration()
	e := &o.Engine
	e.Fanout, e.Dials, e.Starts = f.Fanout, f.dials, f.starts
	e.Rate, e.Attempts, e.Idempotent = f.Rate, f.attempts, f.idempotent
	e.FailFast, e.Barrier, e.Pause = f.failFast, f.barrier, f.pause.Duration()
	if f.attempts < 1 || f.attempts > engine.MaxAttempts {
		return fmt.Errorf("--attempts %d: one is the least, and %d the most", f.attempts, engine.MaxAttempts)
	}
	if e.Rollout, err = stages(f.rollout); err != nil {
		return fmt.Errorf("--rollout: %w", err)
	}
	if e.MaxFail, err = brake("--max-fail", f.maxFail); err != nil {
		return err
	}
	if e.MaxUnknown, err = brake("--max-unknown", f.maxUnknown); err != nil {
		return err
	}
	if f.check != "" {
		e.Check = f.runCheck
	}
	return nil
}

// CheckStages returns an error for flags that have an effect between two stages only,
// where there are none.
func (f *ControlFlags) CheckStages() error {
	if f.rollout != "" || len(f.Canary) > 0 {
		return nil
	}
	for name, given := range map[string]bool{"check": f.check != "", "pause": f.pause.Duration() > 0} {
		if given {
			return hint.Wrap(fmt.Errorf("--%s is for the time between two stages, and there is one stage only", name), "--canary and --rollout make stages")
		}
	}
	return nil
}

func stages(text string) ([]engine.Amount, error) {
	if text == "" {
		return nil, nil
	}
	var list []engine.Amount
	for part := range strings.SplitSeq(text, ",") {
		s, err := engine.ParseAmount(part)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func brake(flag, text string) (*engine.Amount, error) {
	if text == "" {
		return nil, nil
	}
	s, err := engine.ParseAmount(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if s == (engine.Amount{}) {
		return nil, hint.Wrap(fmt.Errorf("%s %s: the limit would be reached before the start", flag, text),
			fmt.Sprintf("--fail-fast stops at the first target that is not ok, %s 1 at the first that counts here", flag))
	}
	return &s, nil
}

// runCheck runs --check after a stage, with its output on standard error.
func (f *ControlFlags) runCheck(ctx context.Context, stage int) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", f.check)
	cmd.Dir = f.CheckDir
	cmd.Env = append(os.Environ(), fmt.Sprintf("SHOAL_STAGE=%d", stage))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%q: %w", f.check, err)
	}
	return nil
}
