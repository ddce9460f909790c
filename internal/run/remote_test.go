package run

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/internal/journal"
)

// What the journal keeps of a Remote is what it was, in every byte.
func TestRemoteIsKept(t *testing.T) {
	for _, r := range []Remote{
		{},
		{Once: true, Timeout: time.Minute, Dir: "/var/tmp/marks", key: "KEY"},
		{Env: []string{"A="}, Chdir: "it's \"here\" \n", Umask: "027"},
		{Env: []string{"A=b c", "B=\xff\x00\"\\ \n", ""}, Chdir: "\xe9"},
	} {
		if got, err := RemoteOf(&journal.RunInfo{Options: r.options()}); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v, %v, want %+v", got, err, r)
		}
	}
	for _, text := range []string{"A=b", `"A=b`, `"A=b" x`} {
		if got, err := RemoteOf(&journal.RunInfo{Options: map[string]string{"env": text}}); err == nil || !strings.Contains(err.Error(), "--env") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
