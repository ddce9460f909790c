// Package crashtest holds tests of the whole program and nothing else: a run of
// fifty hosts, good and bad, is killed or interrupted, resumed, and in the end
// what the journal says is joined with what the servers saw. Nothing may have
// run twice, and nothing may be lost.
//
// The program is this package's test binary, started again as shoal; the servers
// are a simfleet in the test's own process, or real ones. Real ones are behind a
// relay that delays what is sent, cuts connections and inserts bytes, they are
// remembered from an earlier run, so that the command leaves with the
// authentication, and the commands themselves count how often they run. How many times each test does it
// comes from the environment, so that make test takes seconds and make soak does
// the whole sweep:
//
//	CRASHTEST_KILLS    kill -9 at so many random times
//	CRASHTEST_WRITES   kill -9 before and after so many of the journal's writes; 0 means each
//	CRASHTEST_SIGNALS  SIGINT at so many random times, and a few SIGTERM and SIGHUP
//	CRASHTEST_SSHD     so many runs over real servers that are killed, interrupted or stopped by brakes
//	CRASHTEST_SEED     what the random times follow from
//
// A failed test prints its seed. Times are random all the same, since the
// machine's are.
package crashtest
