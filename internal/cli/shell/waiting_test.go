package shell

import "testing"

func TestQuestion(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"Continue? [Y/n] ":              "Continue? [Y/n]",
		"one\ntwo\nProceed (yes/no)?":   "Proceed (yes/no)?",
		"[sudo] password for a: ":       "[sudo] password for a:",
		"really?\n":                     "",
		"12% [=====>    ]":              "",
		"\r 50%\rPress any key (enter)": "Press any key (enter)",
		"listening on [::]":             "",
	} {
		if got, ok := question([]byte(text)); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestHistory(t *testing.T) {
	h := new(earlier)
	for _, line := range []string{"a", "a", " b ", "", "c"} {
		h.Add(line)
	}
	if h.Len() != 3 || h.At(0) != "c" || h.At(2) != "a" {
		t.Errorf("%q", *h)
	}
}
