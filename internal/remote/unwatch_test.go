package remote

import (
	"os/exec"
	"testing"
	"time"

	"shoal/internal/needs"
)

// The watch's TERM may come while its status is waited for, and must not have that forgotten.
func TestStatusOfWatchIsKept(t *testing.T) {
	t.Parallel()
	script := `
trap : ` + signals + `;
n=0;
while [ $n -lt 20 ]; do
( trap "" TERM; trap "kill -TERM $$; exit 9" USR1; : >"$1/ready"; while :; do :; done ) & _d=$!;
sleep 100 & _q=$!;
sleep 100 & _w=$!;
until [ -e "$1/ready" ]; do :; done;
rm "$1/ready";
exec 2>/dev/null;
` + unwatchScript + `
[ $_r = 9 ] || { echo "$n: $_r"; exit 1; };
trap : ` + signals + `;
n=$((n+1));
done`
	for _, shell := range []string{"bash", "dash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(needs.Program(t, shell), "-c", script, "sh", t.TempDir()) //nolint:gosec // that is the test
			timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: the status of the watch, which is 9: %s", err, out)
			}
		})
	}
}
