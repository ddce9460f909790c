package benchcli

import (
	"fmt"
	"os"
	"testing"
)

// TestMain ends a program that a bench has started in place of shoal-bench: without it a
// test that should have been refused starts all tests again, without end.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "fleet" {
		fmt.Fprintln(os.Stderr, "this is a test, which serves no fleet")
		os.Exit(2)
	}
	os.Exit(m.Run())
}
