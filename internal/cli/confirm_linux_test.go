package cli_test

import "testing"

// A run that the configuration wants a question for starts after yes, and after nothing else.
func TestConfirm(t *testing.T) {
	t.Parallel()
	f, dir, shoal := paneFleet(t)
	for _, answer := range []string{"", "n", "yess", "x"} {
		p := openPane(t, dir, "SHOAL_CONFIRM_ABOVE=1 "+shoal+" true; echo code=$?")
		p.await("would start on 20 hosts: ")
		p.await("more than confirm-above = 1 (SHOAL_CONFIRM_ABOVE)")
		p.await("go on? [y/N] ")
		p.press(answer + "\n")
		p.await("shoal: not started: the answer was not yes")
		p.await("code=2")
	}
	if n := f.Stats().Execs; n != 0 {
		t.Fatalf("%d commands ran", n)
	}
	p := openPane(t, dir, "SHOAL_CONFIRM=always "+shoal+" true; echo code=$?")
	p.await("go on? [y/N] ")
	p.press("y\n")
	p.await("code=0")
	if n := f.Stats().Execs; n != 20 {
		t.Errorf("%d commands ran", n)
	}
}
