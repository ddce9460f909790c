// Package crashtest tests crash safety of the whole program: a run on fifty
// hosts, good and bad, is killed or interrupted, resumed, and in the end the
// journal is compared with what the servers saw. Nothing may have run twice,
// and no result may be lost. The package contains only tests.
//
// The program is this package's test binary, started again as shoal. The
// servers are a simfleet in the test's own process, or real ones behind a relay
// that delays bytes, cuts connections and inserts bytes. Real servers are in
// the host cache from an earlier run, so that the command is sent together with
// the authentication, and the commands themselves count how often they run.
//
// The number of trials comes from the environment, so that make test takes
// seconds and make soak covers everything:
//
//	CRASHTEST_KILLS    number of kill -9 at random times
//	CRASHTEST_WRITES   number of the journal's writes to kill -9 before and after; 0 means all
//	CRASHTEST_FAILURES number of the journal's writes that fail, once or from then on; 0 means all, both ways
//	CRASHTEST_SIGNALS  number of SIGINT at random times, plus a few SIGTERM and SIGHUP
//	CRASHTEST_SSHD     number of killed, interrupted or braked runs over real servers
//	CRASHTEST_MARKERS  number of runs killed while they remove markers from real servers
//	CRASHTEST_SEED     seed of the random numbers
//
// A failed test prints its seed. A seed does not reproduce a failure exactly,
// because timing depends on the machine.
package crashtest
