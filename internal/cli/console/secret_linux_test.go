package console

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"shoal/internal/ptytest"
)

// An answer typed at the moment when the prompt appears is not shown: echo is
// off before. Earlier input is discarded.
func TestEchoIsOffBeforeTheQuestion(t *testing.T) {
	for range 300 {
		master, tty := ptytest.Open(t)
		before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		screen := ""
		buf := make([]byte, 256)
		until := func(text string) {
			for !strings.Contains(screen, text) {
				n, err := master.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				screen += string(buf[:n])
			}
		}
		if _, err := master.WriteString("typed ahead\n"); err != nil {
			t.Fatal(err)
		}
		until("typed ahead\r\n")
		type result struct {
			answer []byte
			err    error
		}
		done := make(chan result, 1)
		go func() {
			answer, err := newSecretPrompt(tty, "secret: ").ask()
			done <- result{answer, err}
		}()
		until("secret: ")
		if _, err := master.WriteString("correct horse\n"); err != nil {
			t.Fatal(err)
		}
		got := <-done
		if string(got.answer) != "correct horse" || got.err != nil {
			t.Fatalf("answer %q, %v", got.answer, got.err)
		}
		after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Fatalf("the mode was not put back: %v", err)
		}
		_ = tty.Close()
		for {
			n, err := master.Read(buf)
			screen += string(buf[:n])
			if err != nil {
				break
			}
		}
		if strings.Contains(screen, "horse") {
			t.Fatalf("the answer is on the screen: %q", screen)
		}
		_ = master.Close()
	}
}
