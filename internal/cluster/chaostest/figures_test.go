package chaostest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/cluster"
	"shoal/internal/collector"
	"shoal/internal/connect"
	"shoal/internal/ssh"
)

// How large the benchmarks are.
var (
	coordinated = flag.Int("coordinated", 10_000, "hosts of BenchmarkCoordination")
	scaled      = flag.Int("scaled", 100_000, "hosts of each size of BenchmarkScaling")
	scales      = flag.String("scales", "1,2,4,8,16,32", "numbers of workers of BenchmarkScaling")
)

// A cost is what processes took.
type cost struct {
	cpu    time.Duration
	memory int64 // bytes, the most at a time; 0 means that nobody knows
}

// cost waits for the end of the process.
func (p *process) cost() cost {
	p.w.t.Helper()
	p.wait()
	state := p.cmd.ProcessState
	c := cost{cpu: state.UserTime() + state.SystemTime()}
	if text, err := os.ReadFile(p.peak()); err == nil {
		kib, _ := strconv.ParseInt(string(text), 10, 64)
		c.memory = kib << 10
	}
	return c
}

// leave has the process end as Ctrl-C does.
func (p *process) leave() cost {
	p.send(syscall.SIGINT)
	return p.cost()
}

// A round is one run with everything that it needs.
type round struct {
	wall                     time.Duration // of the run alone
	coordinator, hub, worker cost          // worker is the sum of all
}

func (r round) cpu() time.Duration { return r.coordinator.cpu + r.hub.cpu + r.worker.cpu }

// clustered runs the command through a hub and workers, which are started with these functions, and
// ends them all.
func (w *world) clustered(workers int, start func(url, name string) *process) (r round) {
	w.t.Helper()
	hub := w.start(asHub, "hub", "--listen", "127.0.0.1:0", "--store", w.in(fmt.Sprint("store", w.started)))
	url, _, _ := strings.Cut(hub.says(w.t, "NATS is at "), ",")
	var all []*process
	for i := range workers {
		all = append(all, start(url, fmt.Sprint("worker", i)))
	}
	for _, p := range all {
		p.says(w.t, "takes shards")
	}
	began := time.Now()
	run := w.start(asShoal, "run", append(w.runFlags(), "--cluster", url, "--sign-key", w.in("key"), "--hostfile", w.in("hosts"), w.command)...)
	r.coordinator = run.cost()
	r.wall = time.Since(began)
	w.succeeded(run)
	for _, p := range all {
		c := p.leave()
		r.worker.cpu += c.cpu
		r.worker.memory = max(r.worker.memory, c.memory)
	}
	r.hub = hub.leave()
	return r
}

func (w *world) runFlags() []string {
	return []string{"run", "-F", "none", "-l", "bench", "--state-dir", w.in(fmt.Sprint("state", w.started))}
}

func (w *world) succeeded(run *process) {
	w.t.Helper()
	if want := fmt.Sprintf("%d ok", w.hosts); run.cmd.ProcessState.ExitCode() != 0 || !strings.Contains(strings.ReplaceAll(run.said(), ",", ""), want) {
		w.t.Fatalf("the run failed: %s", run.said())
	}
}

func (w *world) plain() (r round) {
	w.t.Helper()
	began := time.Now()
	run := w.start(asShoal, "run", append(w.runFlags(), "--identity", w.in("key"), "--known-hosts", w.in("known_hosts"), "--no-agent", "--hostfile", w.in("hosts"), w.command)...)
	r.coordinator = run.cost()
	r.wall = time.Since(began)
	w.succeeded(run)
	return r
}

// What it costs to have a worker on the same machine run simulated hosts in place of the run itself: the plain
// run and the one through a hub and a worker take turns, each with its own processes.
func BenchmarkCoordination(b *testing.B) {
	w := newFleet(b, *coordinated, 0, "echo {index}")
	var plain, clustered []round
	for b.Loop() {
		plain = append(plain, w.plain())
		clustered = append(clustered, w.clustered(1, func(url, name string) *process {
			return w.start(asShoal, name, "worker", "--cluster", url, "--allow-signers", w.in("signers"), "--name", name,
				"-F", "none", "--identity", w.in("key"), "--known-hosts", w.in("known_hosts"), "--no-agent")
		}))
		p, c := plain[len(plain)-1], clustered[len(clustered)-1]
		b.Logf("plain: CPU %.2f s, wall %.2f s; through a worker: CPU %.2f s (run %.2f, worker %.2f, hub %.2f), wall %.2f s",
			p.cpu().Seconds(), p.wall.Seconds(), c.cpu().Seconds(), c.coordinator.cpu.Seconds(), c.worker.cpu.Seconds(), c.hub.cpu.Seconds(), c.wall.Seconds())
	}
	b.ReportMetric(median(clustered, round.cpu)/median(plain, round.cpu), "CPU-ratio")
	wall := func(r round) time.Duration { return r.wall }
	b.ReportMetric(median(clustered, wall)/median(plain, wall), "wall-ratio")
	b.ReportMetric(float64(median(clustered, round.cpu))/float64(w.hosts)/1e3, "CPU-µs/host")
}

func median(rounds []round, of func(round) time.Duration) float64 {
	var list []time.Duration
	for _, r := range rounds {
		list = append(list, of(r))
	}
	slices.Sort(list)
	return float64(list[len(list)/2])
}

// What coordination costs when hosts cost nothing: workers answer from a table, after 10 ms, without a
// network and without cryptography.
func BenchmarkScaling(b *testing.B) {
	for size := range strings.SplitSeq(*scales, ",") {
		workers, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(size, func(b *testing.B) {
			w := newFleet(b, 1, 0, "echo {index}")
			w.hosts = *scaled
			var names strings.Builder
			for i := range w.hosts {
				fmt.Fprintf(&names, "host%07d.example.org\n", i)
			}
			if err := os.WriteFile(w.in("hosts"), []byte(names.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			var rounds []round
			for b.Loop() {
				rounds = append(rounds, w.clustered(workers, func(url, name string) *process {
					return w.start(asTable, name, url, name, w.in("signers"), strconv.Itoa(max(200, 6400/workers)))
				}))
			}
			for _, r := range rounds {
				w.recordScale(workers, r)
			}
			per := func(of func(round) time.Duration) float64 { return median(rounds, of) / 1e3 / float64(w.hosts) }
			b.ReportMetric(per(func(r round) time.Duration { return r.coordinator.cpu }), "coordinator-µs/host")
			b.ReportMetric(per(func(r round) time.Duration { return r.hub.cpu }), "hub-µs/host")
			b.ReportMetric(per(func(r round) time.Duration { return r.worker.cpu }), "worker-µs/host")
			b.ReportMetric(float64(rounds[0].coordinator.memory)/(1<<20), "coordinator-MiB")
			b.ReportMetric(float64(rounds[0].hub.memory)/(1<<20), "hub-MiB")
			b.ReportMetric(float64(rounds[0].worker.memory)/(1<<20), "worker-MiB")
			b.ReportMetric(float64(w.hosts)/rounds[0].wall.Seconds(), "hosts/s")
		})
	}
}

// beTable is a worker whose hosts are a table: URL, name, file of signers, hosts at once.
func beTable(args []string) error {
	room, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	signers, err := cluster.ReadSigners(args[2])
	if err != nil {
		return err
	}
	conn, err := cluster.Connect(cluster.ConnectOptions{URL: args[0], Inbox: cluster.WorkerInbox(cluster.DefaultPool, args[1])})
	if err != nil {
		return err
	}
	defer conn.Close()
	o := connect.Options{SSHConfig: "none", Agent: connect.NoAgent}
	o.Engine.Dialer, o.Engine.Starts = table{}, -1
	w, err := cluster.NewWorker(conn, cluster.WorkerOptions{
		Pool: cluster.DefaultPool, Name: args[1], Signers: signers, Connect: o, Room: room,
		Notice: func(text string) { fmt.Fprintln(os.Stderr, text) },
	})
	if err != nil {
		return err
	}
	drain := make(chan struct{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	go func() { <-stop; close(drain) }()
	defer collector.FollowRun()() // as shoal worker does
	fmt.Fprintln(os.Stderr, "takes shards")
	return w.Run(context.Background(), drain)
}

// A table is an ssh.Dialer that answers itself.
type table struct{}

func (table) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	if err := a.Intend(); err != nil {
		return nil, err
	}
	return answer{a}, nil
}

type answer struct{ a *ssh.Attempt }

func (c answer) Start(_ context.Context, done func(fleet.End)) {
	e := &c.a.Execution
	e.Queue(1)
	if e.Writing() {
		e.Wrote(1)
	}
	c.a.Timeline.Enter(fleet.PhaseRun)
	time.AfterFunc(10*time.Millisecond, func() {
		e.Started()
		_, _ = c.a.Stdout.Write([]byte("the answer of a table\n"))
		c.a.Timeline.Enter(fleet.PhaseDrain)
		done(fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain})
	})
}

func (c answer) StartNext(_ context.Context, _ *ssh.Attempt, done func(fleet.End)) {
	done(fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonInternal})
}

func (answer) Close() error { return nil }
