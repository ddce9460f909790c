package ui

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestInspectWithoutTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	xterm := func(string) string { return "xterm" }
	if got := Inspect(file, xterm); got != (Outlet{}) {
		t.Errorf("file: %+v", got)
	}
	if got := Inspect(new(bytes.Buffer), xterm); got != (Outlet{}) || got.Columns() != 0 {
		t.Errorf("buffer: %+v", got)
	}
}

func TestInspectTerminal(t *testing.T) {
	_, tty := openPTY(t, 30, 10)
	for _, c := range []struct {
		env           map[string]string
		moves, colour bool
	}{
		{map[string]string{"TERM": "xterm"}, true, true},
		{map[string]string{"TERM": "xterm", noColour: "1"}, true, false},
		{map[string]string{"TERM": "dumb"}, false, false},
		{map[string]string{}, false, false},
	} {
		got := Inspect(tty, func(name string) string { return c.env[name] })
		if !got.Terminal || got.Moves != c.moves || got.Colour != c.colour {
			t.Errorf("%v: %+v", c.env, got)
		}
		if got.Columns() != 30 {
			t.Errorf("%v: %d columns", c.env, got.Columns())
		}
	}
}

func TestStyle(t *testing.T) {
	if got := string(Cyan.Append([]byte("> "), "node1")); got != "> \x1b[36mnode1\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := string(Plain.Append(nil, "node1")); got != "node1" {
		t.Errorf("%q", got)
	}
}

func TestInspectPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if got := Inspect(w, func(string) string { return "xterm" }); got != (Outlet{Pipe: true}) {
		t.Errorf("%+v", got)
	}
}
