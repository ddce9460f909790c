package keys

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/plainfile"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/internal/ui"
)

func newKeysDiff(stdio console.Stdio) *cobra.Command {
	var f keysFlags
	cmd := &cobra.Command{
		Use:   "diff [flags] [FILE]",
		Short: "Compare host keys with what known_hosts says",
		Long: `Compare host keys with the known_hosts files that ssh_config or --known-hosts name.
The keys come from FILE, which shoal keys scan or ssh-keyscan wrote (- is standard
input), or are collected now from the hosts that the flags name.

Hosts are folded by state and key:
  known    known_hosts has what they show, or the authority of their certificate
  new      nothing is known of them
  added    a key is known (=), and they show others (+)
  changed  other keys are known (-), and none of those that they show (+)
  weak     a key is too short to prove anything
  revoked  a key is revoked
  bad      there is no telling, as for a name that cannot stand in known_hosts

The exit code is 0 when all are known, 1 when anything differs, and otherwise that
of a run with as many hosts that were not reached.`,
		Example: `  shoal keys diff scan
  shoal keys diff -w web[01-20]
  ssh-keyscan -f hosts | shoal keys diff -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return keysDiff(cmd.Context(), &f, args, stdio) },
	}
	f.register(cmd, func(flags.FlagGroup) {})
	return cmd
}

// keysDiff implements shoal keys diff.
func keysDiff(ctx context.Context, f *keysFlags, args []string, stdio console.Stdio) error {
	c, err := f.given(ctx, args, stdio)
	if err != nil {
		return err
	}
	r, err := c.review(stdio)
	if err != nil {
		return err
	}
	counts := r.report.Count()
	var hints []string
	if counts[scan.New]+counts[scan.Added] > 0 {
		hints = append(hints, "shoal keys approve writes down what is right")
	}
	if changed := r.names(scan.Changed); len(changed) > 0 {
		hints = append(hints, fmt.Sprintf("shoal keys approve --replace '%s' replaces changed keys", ui.Visible(expr.Fold(changed))))
	}
	if len(hints) > 0 {
		console.Hint(stdio.Err, "compare the fingerprints with the hosts' own; then "+strings.Join(hints, ", and "))
	}
	return c.endedWith(len(r.report.Findings) - counts[scan.Known])
}

// endedWith returns the exit code as an error. differ is the number of hosts
// with differences.
func (c *collection) endedWith(differ int) error {
	if c.code == console.ExitOK && differ > 0 {
		return console.ExitError(console.ExitFailed)
	}
	return c.ended()
}

// given returns the keys from the named file, or scans the hosts.
func (f *keysFlags) given(ctx context.Context, args []string, stdio console.Stdio) (*collection, error) {
	if len(args) == 0 {
		return f.scan(ctx, true, stdio)
	}
	if err := f.validate(true); err != nil {
		return nil, err
	}
	return f.read(ctx, args[0], stdio)
}

// read reads the keys from a file.
func (f *keysFlags) read(ctx context.Context, path string, stdio console.Stdio) (*collection, error) {
	opts, err := f.scanOptions(stdio)
	if err != nil {
		return nil, err
	}
	planner, err := opts.Planner()
	if err != nil {
		return nil, err
	}
	seen, problems, err := readScan(path, stdio.In)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		console.Note(stdio.Err, p.Error())
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("%q has no host keys\nhint: shoal keys scan writes them", path)
	}
	for i := range seen {
		t := seen[i].Target.Target
		t.Port = cmp.Or(t.Port, fleet.DefaultPort) // here no port means 22, whatever ssh_config says
		seen[i].Target = planner.Target(ctx, t)
	}
	return &collection{seen: seen, router: hostkeys.NewVerifier()}, nil
}

func readScan(path string, stdin io.Reader) ([]scan.Seen, []hostkeys.Problem, error) {
	if path == "-" {
		return scan.Read(stdin, "standard input")
	}
	file, err := plainfile.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the scanned host keys: %w", err)
	}
	defer func() { _ = file.Close() }()
	return scan.Read(file, path)
}
