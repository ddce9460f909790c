package shell

import (
	"bytes"
	"strings"
	"testing"

	"shoal/internal/cli/console"
)

// What limits the fanout is told once for each setting, and not with each line.
func TestFanoutToldOnce(t *testing.T) {
	var err bytes.Buffer
	s := &shell{stdio: console.Stdio{Err: &err}, selected: make([]int, 1<<22), settings: settings{fanout: 1 << 22}}
	for range 3 {
		s.fanout()
	}
	if n := strings.Count(err.String(), "more than this machine carries"); n != 1 {
		t.Errorf("told %d times: %s", n, err.String())
	}
	s.settings.fanout = 0
	s.fanout()
	if n := strings.Count(err.String(), "targets at a time"); n != 1 {
		t.Errorf("told %d times: %s", n, err.String())
	}
}
