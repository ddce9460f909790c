package shell

import "testing"

// A line that leaves out hosts whose names begin with w must not select others.
func TestChosen(t *testing.T) {
	for text, want := range map[string]string{
		"-web[4-6]": "- web[4-6]", "-w1": "- w1", "- w1": "- w1", "-w web[4-6]": "= web[4-6]", "-w 'a[1-2]'": "= a[1-2]", `-w"a"`: "= a",
		"-w": "= ", "-w\ta": "= a", "+web3": "+ web3", "@web": "= @web", "+w": "+ w",
	} {
		how, expression := chosen(text)
		if got := string(how) + " " + expression; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
