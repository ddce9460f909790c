package run

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/connect"
	"shoal/internal/plan"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ui"
)

// DryRun prints one line for each target, followed by its route and where the
// settings come from. command returns the target's command, or an error for a
// target that would not be tried.
func DryRun(ctx context.Context, stdio console.Stdio, opts connect.Options, targets iter.Seq[fleet.Target],
	command func(fleet.Target) (string, error),
) error {
	opts.Engine.Notice = func(text string) { console.Note(stdio.Err, text) }
	planner, err := opts.Planner()
	if err != nil {
		return err
	}
	keyring, err := auth.NewKeyring(auth.KeyringOptions{MaxKeys: opts.MaxKeys}) // asks for no passphrase
	if err != nil {
		return err
	}
	defer func() { _ = keyring.Close() }()
	d := &dryRunner{out: stdio.Out, keyring: keyring, keys: hostkeys.NewVerifier()}
	defer func() { _ = d.keys.Close() }()
	for t := range targets {
		earlier := t.Route != nil // the route is an earlier run's, not ssh_config's
		t, why := planner.Explained(ctx, t)
		if earlier {
			why = nil
		}
		if t.Command, err = command(t.Target); err != nil && t.Err() == nil {
			t = plan.Refuse(t, err)
		}
		if err := d.target(ctx, t, why); err != nil {
			return fmt.Errorf("printing the plan: %w", err)
		}
	}
	return nil
}

// A dryRunner prints targets for DryRun.
type dryRunner struct {
	out     io.Writer
	keyring *auth.Keyring
	keys    *hostkeys.Verifier
}

func (d *dryRunner) target(ctx context.Context, t ssh.Target, why *config.Resolved) error {
	if _, err := fmt.Fprintf(d.out, "%d\t%s@%s\t%s\n", t.Index, t.User, t.Address(), ui.Visible(t.Command)); err != nil {
		return err
	}
	if err := t.Err(); err != nil {
		return d.line("not tried", strings.ReplaceAll(err.Error(), "\n", "; "), "")
	}
	about := []struct{ what, value, from string }{
		{"host", t.Host.Name, from(why, "hostname", t.Route.Address != "")},
		{"jump", jumps(t.Target), from(why, "proxyjump", t.Route.Via != nil)},
		{"proxy", strings.Join(t.Route.ProxyCommand, " "), from(why, "proxycommand", true)},
		{"user", t.User, from(why, "user", true)},
		{"port", fmt.Sprint(t.Port), from(why, "port", true)},
	}
	if needed := t.Settings().Program.Needed; needed != "" {
		about = append(about, struct{ what, value, from string }{"client", "the system's ssh, for " + needed, from(why, needed, true)})
	}
	about = append(about, struct{ what, value, from string }{"no effect", unused(why), ""})
	for _, a := range about {
		if a.value == "" {
			continue
		}
		if err := d.line(a.what, a.value, a.from); err != nil {
			return err
		}
	}
	if err := d.identities(ctx, t); err != nil {
		return err
	}
	return d.hostKeys(t)
}

func (d *dryRunner) line(what, value, from string) error {
	if from != "" {
		value += " (" + from + ")"
	}
	_, err := fmt.Fprintf(d.out, "\t%-10s %s\n", what, ui.Visible(value))
	return err
}

// from returns where a value comes from; "" if that tells nothing.
func from(why *config.Resolved, keyword string, set bool) string {
	if !set || why == nil {
		return ""
	}
	if source := why.Why(keyword); source.File != "" {
		return source.String()
	}
	return ""
}

// unused lists the settings of ssh_config that have no effect here.
func unused(why *config.Resolved) string {
	if why == nil {
		return ""
	}
	var list []string
	for _, n := range why.Unused() {
		list = append(list, n.Text)
	}
	return strings.Join(list, ", ")
}

// jumps lists the jump hosts in the order of connecting.
func jumps(t fleet.Target) string {
	var list []string
	for via := t.Route.Via; via != nil; via = via.Route.Via {
		list = append([]string{via.User + "@" + via.Address()}, list...)
	}
	return strings.Join(list, " > ")
}

func (d *dryRunner) identities(ctx context.Context, t ssh.Target) error {
	set, err := d.keyring.Set(ctx, t.Settings().Keys)
	if err != nil {
		return err
	}
	offers := set.Offers()
	for _, o := range offers {
		if err := d.line("identity", o.From, ""); err != nil {
			return err
		}
	}
	if len(offers) > 0 {
		return nil
	}
	return d.line("identity", "none that can be used without a question", "")
}

func (d *dryRunner) hostKeys(t ssh.Target) error {
	store, err := d.keys.Store(t)
	if err != nil {
		return d.line("host key", strings.ReplaceAll(err.Error(), "\n", "; "), "")
	}
	known, err := store.Known(t.Target)
	if err != nil {
		return d.line("host key", err.Error(), "")
	}
	for _, k := range known {
		if err := d.line("host key", k.String(), ""); err != nil {
			return err
		}
	}
	if len(known) > 0 {
		return nil
	}
	return d.line("host key", "none is known", "")
}
