package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/cluster/hub"
	"shoal/record"
	"shoal/simfleet"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){
		"shoal": func() {
			os.Exit(cli.Main(context.Background(), os.Args[1:], console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// leakChecked fails the run if a test leaks a goroutine. shoal's state goes to
// a directory of the tests' own, and no configuration of a person counts.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	state, err := os.MkdirTemp("", "shoal-state")
	if err == nil {
		err = errors.Join(os.Setenv("XDG_STATE_HOME", state), os.Setenv("XDG_CONFIG_HOME", state))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(state) }()
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// scriptFaults are the faults of the scripts' fleet by host number; all other
// hosts are good.
var scriptFaults = map[int]simfleet.Fault{
	10: simfleet.FaultThrottle,
	11: simfleet.FaultWrongHostkey,
	12: simfleet.FaultAuthRefused,
	13: simfleet.FaultExecRefused,
	14: simfleet.FaultNoExitStatus,
	15: simfleet.FaultEscapes,
	16: simfleet.FaultNotSSH,
	17: simfleet.FaultExitSignal,
}

type fleetKey struct{}

// answersKey is the key of the answers of the first hosts, if they do not run commands.
type answersKey struct{}

// TestScripts runs the scripts in testdata. Each has a fleet of 40 hosts; $H is
// the first part of their names and $P their port, and the files hosts, kh and
// key exist.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"oracle": checkOracle,
			"schema": func(ts *testscript.TestScript, _ bool, args []string) {
				checkSchema(ts, ts.ReadFile(args[0]))
			},
			"await-exec": awaitExec,
			"execs":      countExecs,
			"limited":    limitedFleet,
			"answering":  setAnswers,
			"hub":        startHub,
		},
	})
}

func setUpScript(env *testscript.Env) error {
	answers := new(atomic.Pointer[[]*simfleet.Answer])
	f, err := simfleet.Start(context.Background(), simfleet.Options{
		Hosts: 40, Fault: func(i int) simfleet.Fault { return scriptFaults[i] },
		Answer: func(i int) *simfleet.Answer {
			if all := answers.Load(); all != nil && i < len(*all) {
				return (*all)[i]
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	env.Defer(func() { _ = f.Close() })
	if err := writeFleet(f, env.WorkDir); err != nil {
		return err
	}
	env.Values[fleetKey{}], env.Values[answersKey{}] = f, answers
	env.Setenv("H", "127.1.0")
	env.Setenv("P", strconv.Itoa(int(f.Port())))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("USER", "script")
	return nil
}

// startFleet starts a fleet until the end of the test and writes its files into dir.
func startFleet(t testing.TB, o simfleet.Options) (f *simfleet.Fleet, dir string) {
	t.Helper()
	f, err := simfleet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	dir = t.TempDir()
	if err := writeFleet(f, dir); err != nil {
		t.Fatal(err)
	}
	return f, dir
}

func writeFleet(f *simfleet.Fleet, dir string) error {
	for name, write := range map[string]func(io.Writer) error{
		"hosts": f.WriteHosts, "kh": f.WriteKnownHosts, "key": f.WriteKey,
	} {
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(write(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

func fleetOf(ts *testscript.TestScript) *simfleet.Fleet {
	f, ok := ts.Value(fleetKey{}).(*simfleet.Fleet)
	if !ok {
		ts.Fatalf("there is no fleet")
	}
	return f
}

// checkOracle compares a file of JSON results with the fleet's log.
func checkOracle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: oracle RESULTS")
	}
	text := ts.ReadFile(args[0])
	checkSchema(ts, text)
	var results []fleet.Result
	var targets int
	for entry, err := range record.Read(strings.NewReader(text)) {
		ts.Check(err)
		switch {
		case entry.Header != nil:
			targets = entry.Header.Targets
		case entry.Result != nil:
			results = append(results, *entry.Result)
		}
	}
	if report := simfleet.Check(endedLog(fleetOf(ts)), slices.Values(results), targets); !report.OK() {
		ts.Fatalf("%s", report)
	}
}

// checkSchema checks the objects among the lines of a stream against its schema.
func checkSchema(ts *testscript.TestScript, stream string) {
	schema, err := jsonschema.NewCompiler().Compile("../../record/schema.json")
	ts.Check(err)
	for line := range strings.Lines(stream) {
		if line[0] != '{' {
			continue
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		ts.Check(err)
		ts.Check(schema.Validate(v))
	}
}

// endedLog waits until the servers have recorded the end of every command whose
// end clients have seen.
func endedLog(f *simfleet.Fleet) []simfleet.Exec {
	for {
		log := f.Log()
		if !slices.ContainsFunc(log, func(e simfleet.Exec) bool { return e.Ended.IsZero() }) {
			return log
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitExec waits until the fleet has seen this many execs.
func awaitExec(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for fleetOf(ts).Stats().Execs < want {
		time.Sleep(time.Millisecond)
	}
}

// countExecs asserts how many execs the fleet has seen.
func countExecs(ts *testscript.TestScript, _ bool, args []string) {
	if got := strconv.Itoa(fleetOf(ts).Stats().Execs); got != args[0] {
		ts.Fatalf("the fleet has seen %s execs, want %s", got, args[0])
	}
}

// setAnswers has the first hosts answer these texts, one each.
func setAnswers(ts *testscript.TestScript, _ bool, args []string) {
	answers := make([]*simfleet.Answer, len(args))
	for i, text := range args {
		var err error
		answers[i], err = simfleet.ParseAnswer(text)
		ts.Check(err)
	}
	ts.Value(answersKey{}).(*atomic.Pointer[[]*simfleet.Answer]).Store(&answers)
}

// limitedFleet replaces the script's fleet with one host with this MaxStartups,
// and latency that makes connections overlap.
func limitedFleet(ts *testscript.TestScript, _ bool, args []string) {
	startups, err := simfleet.ParseStartups(args[0])
	ts.Check(err)
	f, err := simfleet.Start(context.Background(), simfleet.Options{
		Hosts: 1, MaxStartups: startups, Latency: 5 * time.Millisecond,
	})
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() })
	ts.Check(writeFleet(f, ts.Getenv("WORK")))
	ts.Setenv("P", strconv.Itoa(int(f.Port())))
}

// startHub starts NATS, which $HUB names, and writes the file signers: it allows the key of the fleet.
func startHub(ts *testscript.TestScript, _ bool, _ []string) {
	h, err := hub.Start(hub.Options{Listen: "127.0.0.1:0", Dir: filepath.Join(ts.Getenv("WORK"), "hub")})
	ts.Check(err)
	ts.Defer(h.Close)
	ts.Setenv("HUB", h.URL())
	key, err := ssh.ParsePrivateKey([]byte(ts.ReadFile("key")))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("signers"), append([]byte("ops "), ssh.MarshalAuthorizedKey(key.PublicKey())...), 0o600))
}
