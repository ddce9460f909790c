package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where a file system does not rename from one directory to the next (EXDEV), mv copies, and a reader would see half a
// file. The push fails before, and the old file is as it was.
func TestPushWhereNothingIsRenamed(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "new", 0o644)
	if err := os.Symlink("f", filepath.Join(filepath.Dir(src), "l")); err != nil {
		t.Fatal(err)
	}
	env := tools(t, map[string]string{"mv": `[ "$1" = -f ] && shift; rm -f "$2" && cp -P "$1" "$2" && rm -f "$1"`})
	eachShell(t, func(t *testing.T, shell string) {
		if strings.Contains(shell, "busybox") {
			t.Skip("its mv is its own")
		}
		for name, c := range map[string]struct {
			options PushOptions
			word    string
			want    string
		}{
			"file":     {PushOptions{}, "no_atomic_replace", `f 644 "old"`},
			"backup":   {PushOptions{Backup: true}, "no_atomic_replace", `f 644 "old"`},
			"in place": {PushOptions{InPlace: true}, "", `f 644 "new"`},
		} {
			dir := t.TempDir()
			write(t, dir+"/f", "old", 0o644)
			v, ok, e := pushedWith(t, env, shell, read(t, c.options, src), dir, -1)
			if !ok || v.done != (c.word == "") || v.word != c.word {
				t.Errorf("%s: %+v %q", name, v, e)
			}
			wantTree(t, name, dir, c.want)
		}
		dir := t.TempDir()
		if v, ok, e := pushedWith(t, env, shell, read(t, PushOptions{}, filepath.Dir(src)+"/"), dir, -1); !ok || v.word != "no_atomic_replace" {
			t.Errorf("tree: %+v %q", v, e)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("tree: left %v, %v", left, err)
		}
	})
}
