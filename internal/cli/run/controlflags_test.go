package run

import (
	"strings"
	"testing"

	"shoal/internal/connect"
)

func TestAttempts(t *testing.T) {
	for n, ok := range map[int]bool{-1: false, 0: false, 1: true, 100: true, 101: false, 1 << 40: false} {
		flags, o := ControlFlags{attempts: n}, connect.Options{}
		err := flags.Apply(&o)
		if (err == nil) != ok || ok && o.Engine.Attempts != n {
			t.Errorf("--attempts %d: %v, and %d attempts", n, err, o.Engine.Attempts)
		}
		if !ok && !strings.HasSuffix(err.Error(), ": one is the least, and 100 the most") {
			t.Errorf("--attempts %d: %v", n, err)
		}
	}
}
