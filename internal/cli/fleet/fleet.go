// Package fleet implements shoal fleet and shoal demo: a simulated fleet
// (package simfleet) to try shoal on, without real hosts. It is not for
// measurements; see shoal-bench.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/collector"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
	"shoal/internal/ui"
	"shoal/record"
	"shoal/simfleet"
)

// fleetFlags are the flags of shoal fleet.
type fleetFlags struct {
	hosts           int
	names           string
	port            uint16
	seed            string
	latency, jitter time.Duration
	authDelay       time.Duration
	maxStartups     string
	penalties       bool
	faults          []string
	eachFault       int
	answers         []string
	reboots         []string
	rebootTime      time.Duration
	sftp            bool
	server          string

	writeKnownHosts, writeHosts, writeKey string
	oracle                                string
	oracleFiles                           bool
}

// New returns shoal fleet.
func New(stdio console.Stdio) *cobra.Command {
	var f fleetFlags
	cmd := &cobra.Command{
		Use:   "fleet [flags]",
		Short: "Serve a simulated fleet of SSH servers on loopback, to try and to measure with",
		Long: `Serve any number of simulated SSH servers on 127.0.0.0/8 until interrupted. Each
has a POSIX shell, the usual small programs, files and processes, all of them in
memory: no real program is started and no real file touched. Files are served by
SFTP too. Every exec is written to the --oracle log, and "shoal fleet check"
compares that log with the results of a run.

Faults of the protocol: ` + names(simfleet.Faults()) + `.

Faults of files: ` + names(simfleet.FileFaults()) + `.

Hosts that are no Unix, also by --fault: ` + names(simfleet.Systems()) + `.

The TEXT of --answer, or the file that @FILE names, may have {host}, {index},
{time}, {date}, {pid}, {uptime}, {port}, {size}, {hash} and {uuid}, as well as
{exit N}, {stderr}, {stdout}, \n, \t and \\; {then N} begins what a host answers
after it has given the text before N times.`,
		Example: `  shoal fleet --hosts 10000 --latency 6ms --write-hosts hosts \
      --write-known-hosts kh --write-key key
  shoal fleet --fault 'silent=127.1.0.[1-5]' --fault wrong-hostkey=127.1.0.9
  shoal fleet --answer '2%=kernel 5.10, up {time}' --answer '1%={exit 3}' \
      --answer '97%=kernel 6.1, up {time}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveFleet(cmd.Context(), &f, stdio) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&f.hosts, "hosts", 100, "how many hosts")
	flags.StringVar(&f.names, "names", "", "what the hosts are called: `EXPR` such as web[01-20],db[1-3], as many as it has; the file of --write-hosts has their addresses, and groups web and db")
	flags.DurationVar(&f.latency, "latency", 0, "time in each direction; a round trip takes twice as long")
	flags.DurationVar(&f.jitter, "jitter", 0, "random time more in each direction, up to this")
	flags.DurationVar(&f.authDelay, "auth-delay", 0, "how long hosts take to accept a login, as with a slow directory")
	flags.StringVar(&f.maxStartups, "max-startups", "", "drop connections as sshd's MaxStartups: `N` or start:rate:full, for each host")
	flags.BoolVar(&f.penalties, "penalties", false, "refuse clients as OpenSSH 9.8 and later: for sessions without a login, and those that end at once")
	flags.StringArrayVar(&f.faults, "fault", nil, "have hosts do something wrong: `KIND=HOSTS`; several kinds have + between them")
	flags.IntVar(&f.eachFault, "each-fault", 0, "have `N` hosts for each fault of the protocol, and for some pairs, chosen by --seed")
	flags.StringArrayVar(&f.answers, "answer", nil, "have hosts answer each command with a text: `HOSTS=TEXT`, or 10%=TEXT for a share of the others")
	flags.StringArrayVar(&f.reboots, "reboot", nil, "have hosts reboot that long after the start: `TIME=HOSTS`")
	flags.DurationVar(&f.rebootTime, "reboot-time", 5*time.Second, "how long they are down")
	flags.BoolVar(&f.sftp, "sftp", true, "serve files by SFTP")
	flags.StringVar(&f.server, "server", string(simfleet.ServerWire), "who serves: wire, shoal's own, which is cheap and takes commands early as sshd does, or xcrypto, golang.org/x/crypto/ssh")
	flags.Uint16Var(&f.port, "port", 0, "TCP port of every host (default: any free one)")
	flags.StringVar(&f.seed, "seed", "", "derive all keys from this `TEXT` (default: random)")
	flags.StringVar(&f.writeHosts, "write-hosts", "", "write the hosts to `FILE`")
	flags.StringVar(&f.writeKnownHosts, "write-known-hosts", "", "write the host keys to `FILE`")
	flags.StringVar(&f.writeKey, "write-key", "", "write the private key that may log in to `FILE`")
	flags.StringVar(&f.oracle, "oracle", "", "write every exec that was seen to `FILE`")
	_ = cmd.RegisterFlagCompletionFunc("fault", completeFault) // it exists
	flags.BoolVar(&f.oracleFiles, "oracle-files", false, "add at the end every file of the hosts, and every name that one had")
	cmd.AddCommand(newFleetCheck(stdio))
	return cmd
}

func names(faults []simfleet.Fault) string {
	var names []string
	for _, f := range faults {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// allFaults are what --fault takes.
func allFaults() []simfleet.Fault {
	return slices.Concat(simfleet.Faults(), simfleet.FileFaults(), simfleet.Systems())
}

// completeFault offers the kinds of faults, each with what it does.
func completeFault(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, f := range allFaults() {
		words = append(words, string(f)+"=\t"+f.Doc())
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// serveFleet serves until SIGINT, SIGTERM or the end of ctx.
func serveFleet(ctx context.Context, f *fleetFlags, stdio console.Stdio) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts, err := f.options()
	if err != nil {
		return err
	}
	if f.oracleFiles && f.oracle == "" {
		return errors.New("--oracle-files needs a log\nhint: add --oracle FILE")
	}
	reboots, err := parseReboots(f.reboots, opts.Names)
	if err != nil {
		return err
	}
	var log *simfleet.LogWriter
	if f.oracle != "" {
		file, err := os.OpenFile(f.oracle, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("opening the oracle log: %w", err)
		}
		log = simfleet.NewLogWriter(file)
		opts.Oracle, opts.DiscardLog = log.Record, true
		opts.RecordNames = f.oracleFiles
		defer func() { err = errors.Join(err, log.Err(), file.Close()) }()
	}
	defer collector.FollowFleet()()
	fl, err := simfleet.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = fl.Close() }()
	if err := f.write(fl); err != nil {
		return err
	}
	if err := f.explain(stdio.Out, fl); err != nil {
		return err
	}
	for _, r := range reboots {
		defer time.AfterFunc(r.after, func() {
			for _, i := range r.hosts {
				fl.Reboot(i, f.rebootTime)
			}
		}).Stop()
	}
	<-ctx.Done()
	if f.oracleFiles {
		_ = fl.Close() // so that the log of commands is complete
		log.RecordFiles(fl.Files())
	}
	s := fl.Stats()
	_, err = fmt.Fprintf(stdio.Err, "shoal fleet: %s connections, %s turned away, %s let in, %s execs; at most %s open at once\n",
		ui.Count(int64(s.Accepted)), ui.Count(int64(s.Dropped)), ui.Count(int64(s.Authenticated)),
		ui.Count(int64(s.Execs)), ui.Count(int64(s.PeakOpen)))
	return err
}

func (f *fleetFlags) options() (simfleet.Options, error) {
	names, err := f.named()
	if err != nil {
		return simfleet.Options{}, err
	}
	number := numbering(names)
	o := simfleet.Options{
		Hosts: f.hosts, Names: names, Seed: f.seed, Port: f.port, Latency: f.latency, Jitter: f.jitter, Penalties: f.penalties, AuthDelay: f.authDelay, NoSFTP: !f.sftp,
		Server: simfleet.Server(f.server), DiscardLog: true,
	}
	if f.maxStartups != "" {
		if o.MaxStartups, err = simfleet.ParseStartups(f.maxStartups); err != nil {
			return o, err
		}
	}
	if o.Fault, err = f.fault(number); err != nil {
		return o, err
	}
	o.Answer, err = parseAnswers(f.answers, f.hosts, number)
	return o, err
}

// fault returns the fault of each host. --fault counts before --each-fault.
func (f *fleetFlags) fault(number numbering) (func(i int) simfleet.Fault, error) {
	named, err := parseFaults(f.faults, number)
	if err != nil || f.eachFault == 0 {
		return named, err
	}
	if f.seed == "" {
		return nil, hint.New("--each-fault has no seed to choose the hosts by", "add --seed TEXT, and give shoal fleet check the same")
	}
	mixed, err := simfleet.Mix(f.seed, f.hosts, f.eachFault)
	if err != nil {
		return nil, fmt.Errorf("--each-fault: %w", err)
	}
	return func(i int) simfleet.Fault {
		if named != nil && named(i) != simfleet.FaultNone {
			return named(i)
		}
		return mixed(i)
	}, nil
}

// parseAnswers parses HOSTS=TEXT and SHARE%=TEXT.
func parseAnswers(texts []string, hosts int, number numbering) (func(i int) *simfleet.Answer, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	answers := make(map[int]*simfleet.Answer)
	var shares []float64
	var shared []*simfleet.Answer
	for _, text := range texts {
		whose, what, ok := strings.Cut(text, "=")
		if !ok {
			return nil, hint.Wrap(fmt.Errorf("--answer %.60q names no hosts", text), "write --answer '10%=some text' or --answer '127.1.0.[1-5]=some text'")
		}
		if name, isFile := strings.CutPrefix(what, "@"); isFile {
			content, err := readAnswer(name)
			if err != nil {
				return nil, fmt.Errorf("reading the text of --answer: %w", err)
			}
			what = content
		}
		answer, err := simfleet.ParseAnswer(what)
		if err != nil {
			return nil, fmt.Errorf("--answer %.60q: %w", text, err)
		}
		if share, ok := strings.CutSuffix(whose, "%"); ok {
			percent, err := strconv.ParseFloat(share, 64)
			if err != nil || !(percent >= 0 && percent <= 100) {
				return nil, fmt.Errorf("--answer: %.20q is not a share of the hosts", whose)
			}
			shares, shared = append(shares, percent/100), append(shared, answer)
			continue
		}
		numbers, err := number.all(whose)
		if err != nil {
			return nil, fmt.Errorf("reading the hosts of --answer: %w", err)
		}
		for _, i := range numbers {
			if answers[i] == nil {
				answers[i] = answer
			}
		}
	}
	parts, err := simfleet.Shares(max(hosts, 0), shares...)
	if err != nil {
		return nil, fmt.Errorf("--answer: %w", err)
	}
	for i, part := range parts {
		if part >= 0 && answers[i] == nil {
			answers[i] = shared[part]
		}
	}
	return func(i int) *simfleet.Answer { return answers[i] }, nil
}

// maxAnswer is the largest text of an answer in a file, in bytes.
const maxAnswer = 16 << 20

func readAnswer(name string) (string, error) {
	file, err := plainfile.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxAnswer+1))
	if err == nil && len(content) > maxAnswer {
		err = fmt.Errorf("%q has more than %s", name, ui.Bytes(maxAnswer))
	}
	return string(content), err
}

// parseFaults parses KIND=HOSTS. Hosts are numbered by address.
func parseFaults(texts []string, number numbering) (func(i int) simfleet.Fault, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	faults := make(map[int]simfleet.Fault)
	for _, text := range texts {
		kind, hosts, ok := strings.Cut(text, "=")
		if !ok {
			return nil, hint.Wrap(fmt.Errorf("--fault %q names no hosts", text), "write --fault silent=127.1.0.[1-5]")
		}
		fault, err := simfleet.ParseFault(kind)
		if err != nil {
			return nil, hint.Wrap(err, "there are "+names(allFaults()))
		}
		indexes, err := number.all(hosts)
		if err != nil {
			return nil, fmt.Errorf("reading the hosts of --fault %s: %w", kind, err)
		}
		for _, i := range indexes {
			faults[i] = fault
		}
	}
	return func(i int) simfleet.Fault { return faults[i] }, nil
}

// named returns the names of --names, and counts them.
func (f *fleetFlags) named() ([]string, error) {
	if f.names == "" {
		return nil, nil
	}
	names, err := expr.Expand(f.names)
	if err != nil {
		return nil, fmt.Errorf("reading --names: %w", err)
	}
	for _, name := range names {
		if h, err := hosts.ParseHost(name); err != nil || h.Name != name {
			return nil, fmt.Errorf("--names: %.60q is no name of a host", name)
		}
	}
	f.hosts = len(names)
	return names, nil
}

// A numbering has the names of the hosts by their numbers; nil means that these have only addresses.
type numbering []string

// all returns the numbers of the hosts in an expression of names or addresses.
func (n numbering) all(text string) ([]int, error) {
	names, err := expr.Expand(text)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, len(names))
	for at, name := range names {
		if numbers[at] = slices.Index(n, name); numbers[at] >= 0 {
			continue
		}
		if numbers[at], err = simfleet.Index(name); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// A reboot is that of some hosts.
type reboot struct {
	after time.Duration // the start
	hosts []int
}

// parseReboots parses TIME=HOSTS.
func parseReboots(texts []string, number numbering) ([]reboot, error) {
	var reboots []reboot
	for _, text := range texts {
		after, hosts, ok := strings.Cut(text, "=")
		d, err := time.ParseDuration(after)
		if !ok || err != nil || d < 0 {
			return nil, hint.Wrap(fmt.Errorf("--reboot %q is not a time and hosts", text), "write --reboot 10s=127.1.0.[1-5]")
		}
		numbers, err := number.all(hosts)
		if err != nil {
			return nil, fmt.Errorf("reading the hosts of --reboot %s: %w", after, err)
		}
		reboots = append(reboots, reboot{d, numbers})
	}
	return reboots, nil
}

// write writes the files that a client needs to reach the fleet.
func (f *fleetFlags) write(fl *simfleet.Fleet) error {
	if err := f.refuseExisting(); err != nil {
		return err
	}
	for _, file := range []struct {
		path  string
		write func(io.Writer) error
	}{{f.writeHosts, fl.WriteHosts}, {f.writeKnownHosts, fl.WriteKnownHosts}, {f.writeKey, fl.WriteKey}} {
		if file.path == "" {
			continue
		}
		if err := writeFile(file.path, file.write); err != nil {
			return err
		}
	}
	return nil
}

// refuseExisting returns an error if a file to write exists, before any is written.
func (f *fleetFlags) refuseExisting() error {
	for _, path := range []string{f.writeHosts, f.writeKnownHosts, f.writeKey} {
		if _, err := os.Lstat(path); err == nil {
			return hint.Wrap(fmt.Errorf("%q exists already, and is not overwritten", path), "remove it, or name another file")
		}
	}
	return nil
}

// writeFile creates path, which must not exist, readable by its owner only.
func writeFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing a file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return write(file)
}

// explain prints the commands to try next.
func (f *fleetFlags) explain(w io.Writer, fl *simfleet.Fleet) error {
	next := "hint: --write-hosts, --write-known-hosts and --write-key write what a client needs\n"
	if f.writeHosts != "" && f.writeKnownHosts != "" && f.writeKey != "" {
		next = fmt.Sprintf("\nIn another terminal:\n\n  shoal run --hostfile %s --known-hosts %s --identity %s --no-agent -b 'echo hello world'\n",
			f.writeHosts, f.writeKnownHosts, f.writeKey)
	}
	_, err := fmt.Fprintf(w, "%s hosts on %s to %s, round trip %v; Ctrl-C ends them\n%s",
		ui.Count(int64(f.hosts)), fl.Host(0), fl.Host(f.hosts-1), 2*f.latency, next)
	return err
}

func newFleetCheck(stdio console.Stdio) *cobra.Command {
	var f fleetFlags
	cmd := &cobra.Command{
		Use:   "check --oracle FILE RESULTS",
		Short: "Compare the results of a run (--json) with what the simulated servers saw",
		Long: `Compare the results of a run (--json) with what the simulated servers saw: what
ran, how often, and every byte of output. With the --fault, or the --hosts,
--each-fault and --seed, that the fleet was given, each outcome and reason is
also compared with what the fault of its host allows, of a command that prints
something and ends with status 0.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if f.oracle == "" {
				return hint.Wrap(errors.New("no log to compare the results with"), "--oracle names the one that shoal fleet --oracle wrote")
			}
			return checkFleet(&f, args[0], stdio)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.oracle, "oracle", "", "the log that shoal fleet --oracle wrote to `FILE`")
	flags.StringArrayVar(&f.faults, "fault", nil, "what the fleet was given")
	flags.IntVar(&f.hosts, "hosts", 100, "what the fleet was given")
	flags.IntVar(&f.eachFault, "each-fault", 0, "what the fleet was given")
	flags.StringVar(&f.seed, "seed", "", "what the fleet was given")
	_ = cmd.RegisterFlagCompletionFunc("fault", completeFault) // it exists
	return cmd
}

func checkFleet(f *fleetFlags, resultsPath string, stdio console.Stdio) error {
	fault, err := f.fault(nil)
	if err != nil {
		return err
	}
	oracle, err := plainfile.Open(f.oracle)
	if err != nil {
		return fmt.Errorf("opening the oracle log: %w", err)
	}
	defer func() { _ = oracle.Close() }()
	log, err := simfleet.ReadLog(oracle)
	if err != nil {
		return fmt.Errorf("reading the oracle log: %w", err)
	}
	file, err := plainfile.Open(resultsPath)
	if err != nil {
		return fmt.Errorf("opening the results: %w", err)
	}
	defer func() { _ = file.Close() }()
	var results []fleet.Result
	targets := -1
	for entry, err := range record.Read(file) {
		if err != nil {
			return fmt.Errorf("reading the results: %w", err)
		}
		switch {
		case entry.Header != nil:
			targets = entry.Header.Targets
		case entry.Result != nil:
			results = append(results, *entry.Result)
		}
	}
	if targets < 0 {
		return hint.Wrap(fmt.Errorf("%s has no header", resultsPath), "write it with shoal run --json")
	}
	report := simfleet.Check(log, slices.Values(results), targets)
	if fault != nil {
		unexpected := simfleet.CheckExpected(slices.Values(results), fault)
		report.Found += len(unexpected)
		report.Violations = append(report.Violations, unexpected...)
	}
	return printReport(report, stdio)
}

func printReport(r simfleet.Report, stdio console.Stdio) error {
	if _, err := fmt.Fprintln(stdio.Out, console.VisibleLines(strings.TrimSuffix(r.String(), "\n"))); err != nil {
		return err
	}
	if !r.OK() {
		return console.ExitError(console.ExitFailed)
	}
	return nil
}
