// Package chaostest breaks runs on workers, with real processes: shoal run, workers, and one NATS server or
// three are killed, stopped, told to leave, and cut off from each other by proxies that drop what they
// get; hints are lost and repeated, leaders step down. In the end the run has been attached to and resumed until nothing
// is left, and the oracle of the simulated fleet compares the journal with what the hosts saw: nothing ran
// twice, nothing is lost, every host is final, and every unknown has a fault that explains it. The package
// contains only tests.
//
// The programs are this package's test binary, started again. Faults happen when a number of commands has
// begun, not at a time.
//
// The environment says how much of TestChaos is run:
//
//	CHAOS_RUNS     number of runs (1)
//	CHAOS_HOSTS    number of hosts of each (300)
//	CHAOS_FAULTS   number of random faults in each (3)
//	CHAOS_SEED     seed of the random numbers; a failed run prints its own
//	CHAOS_KEEP     a directory, on the file system of TMPDIR, into which a failed run's journal, stores, messages and the
//	               hosts' own log are moved ("": they are removed)
//
// The figures of what coordination costs are benchmarks, with the same processes; CHAOS_PROFILES names a directory for CPU profiles
// of all of them:
//
//	go test -run '^$' -bench Coordination -benchtime 3x ./internal/cluster/chaostest -coordinated 10000
//	go test -run '^$' -bench Scaling -benchtime 1x ./internal/cluster/chaostest -scaled 100000 -scales 1,2,4,8,16,32
//
// With -scaling FILE the figures of each size are appended to that file, from which a table and charts are written: the sizes may
// be measured one after the other. A million hosts need -timeout 1h.
//
// The seed gives the same faults at the same numbers of commands; what they hit depends on the machine.
package chaostest
