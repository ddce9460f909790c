package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
)

// asShoal in the environment makes the test binary act as the program.
const asShoal = "CRASHTEST_AS_SHOAL"

func TestMain(m *testing.M) {
	holds := len(os.Args) > 1 && os.Args[1] == "persist" // the program has started itself, without this environment
	if os.Getenv(asShoal) != "" || holds {
		os.Exit(cli.Main(context.Background(), os.Args[1:], console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(sig) { // child processes would inherit it, as under nohup
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	goleak.VerifyTestMain(m)
}

// knob reads a number from the environment.
func knob(t testing.TB, name string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// trials runs n tests in parallel, each with its own random source, and returns
// when all have ended.
func trials(t *testing.T, n int, f func(t *testing.T, i int, random *rand.Rand)) {
	t.Helper()
	seed := knob(t, "CRASHTEST_SEED", rand.Uint64())
	if !t.Run("trials", func(t *testing.T) {
		for i := range n {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				f(t, i, rand.New(rand.NewPCG(seed, uint64(i)))) // not negative
			})
		}
	}) {
		t.Errorf("CRASHTEST_SEED=%d", seed)
	}
}
