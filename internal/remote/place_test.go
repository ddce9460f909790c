package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// placeWraps are the kinds of wrappers with a place.
func placeWraps(f *far, p Place) map[string]Wrap {
	all := bigWraps(f)
	all["detached"] = Wrap{Nonce: nonce, Marker: f.marker(), Detach: true, Timeout: time.Hour}
	for name, w := range all {
		if w.Place = &p; name == "all" || name == "detached" || f.thorough() {
			all[name] = w
		} else {
			delete(all, name)
		}
	}
	return all
}

// testPlace checks variables, directory and umask under each wrapper.
func (f *far) testPlace(t *testing.T) {
	t.Helper()
	f.withTmp(t)
	var all strings.Builder
	for c := 1; c < 256; c++ {
		all.WriteByte(byte(c))
	}
	dir := filepath.Join(f.home, "it's a \"dir\" $HOME\n!")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := Place{Env: []string{"ODD=" + all.String(), "EMPTY=", "_u=x", "SHELL=/no/shell", "SPACES=  a  b  "}, Dir: dir, Umask: "027"}
	command := "/usr/bin/printenv ODD EMPTY _u SHELL SPACES; /bin/pwd; touch made; exit 9"
	want := fmt.Sprintf("%s\n\nx\n/no/shell\n  a  b  \n%s\n", all.String(), dir)
	for name, padding := range map[string]string{"short": "", "long": padding} {
		for wrapper, w := range placeWraps(f, p) {
			var got string
			text, before, err := w.Request("true" + padding + "\n" + command)
			s := f.run(t, must(t)(text, err), before)
			if got = s.stdout; w.Detach {
				until(t, "the end", func() bool { r := f.settle(t); return r.State == StateEnded && !r.Left })
				question, err := f.marker().Collect(nonce, Offsets{}, 0)
				r := f.ask(t, question, err)
				got, s.status = string(r.Stdout.Bytes), int(r.Status)
			}
			if got != want || s.status != 9 {
				t.Errorf("%s, %s: %v\ngot  %q\nwant %q", name, wrapper, s, got, want)
			}
			made := filepath.Join(dir, "made")
			if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%s, %s: %v, %v", name, wrapper, info, err)
			}
			_ = os.Remove(made)
			forget(t, f)
		}
	}
	if left := f.leftovers(); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// TestPlaceInEveryShell and TestPlaceInEveryLoginShell: the command gets exactly what was
// asked for.
func TestPlaceInEveryShell(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) { f.testPlace(t) })
}

func TestPlaceInEveryLoginShell(t *testing.T) {
	everyLoginShell(t, func(t *testing.T, f *far) { f.testPlace(t) })
}

// TestNoSuchPlace: if the directory cannot be entered, nothing runs and nothing is left.
func TestNoSuchPlace(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		ran := filepath.Join(f.home, "ran")
		if err := os.WriteFile(filepath.Join(f.home, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.more = append(f.more, "CDPATH="+f.home) // tmp is there, and not where commands start
		for _, dir := range []string{filepath.Join(f.home, "file"), "/no/such", "tmp", "-"} {
			for name, padding := range map[string]string{"short": "", "long": padding} {
				for wrapper, w := range placeWraps(f, Place{Dir: dir}) {
					text, before, err := w.Request("touch " + ran + padding)
					s := f.run(t, must(t)(text, err), before)
					if word, ok := ParseRefusal(nonce, []byte(s.stderr)); !ok || word != RefusedChdir || s.stdout != "" || exists(ran) {
						t.Errorf("%s, %s, %s: %v", dir, name, wrapper, s)
					}
					if r := f.look(t); r.State != StateAbsent || len(f.leftovers()) > 0 {
						t.Errorf("%s, %s, %s: it is %s, left %q", dir, name, wrapper, r.State, f.leftovers())
					}
				}
			}
		}
	})
}

func TestPlaceErrors(t *testing.T) {
	for want, p := range map[string]Place{
		`variable 1, "A-B": want NAME=VALUE`: {Env: []string{"A-B=secret"}},
		`variable 2, "1A"`:                   {Env: []string{"A=", "1A=secret"}},
		`variable 1, "A"`:                    {Env: []string{"A"}},
		`variable 1, ""`:                     {Env: []string{"=secret"}},
		`"A" is there twice`:                 {Env: []string{"A=1", "A=2"}},
		`"B" has a NUL byte`:                 {Env: []string{"B=secret\x00"}},
		`"C" has a NUL byte or ends in`:      {Env: []string{"C=secret\n"}},
		`begins with ~`:                      {Dir: "~/x"},
		`the working directory has`:          {Dir: "x\x00"},
		`umask "888"`:                        {Umask: "888"},
		`umask "1777"`:                       {Umask: "1777"},
		`umask "+7"`:                         {Umask: "+7"},
	} {
		err := p.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %s", p, err, want)
		}
		if _, err := (Wrap{Nonce: nonce, Place: &p}).Line("x"); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	if err := (&Place{Env: []string{"A=b=c"}, Dir: "x", Umask: "0022"}).Validate(); err != nil {
		t.Error(err)
	}
}
