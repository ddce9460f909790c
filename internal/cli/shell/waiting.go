package shell

import (
	"io"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/runstate"
	"shoal/internal/ui"
)

// waiting tells of hosts whose command seems to wait for somebody to type: it has written no line's
// end after what looks like a question, and nothing since.
type waiting struct {
	state *runstate.State
	to    io.Writer
	told  map[string]bool // questions
	stop  chan struct{}   // closed by end
	ended sync.WaitGroup
}

const (
	lookEvery = time.Second
	quietFor  = 2 * time.Second
	maxPrompt = 120 // bytes of a question
)

func watchPrompts(state *runstate.State, to io.Writer) *waiting {
	w := &waiting{state: state, to: to, told: make(map[string]bool), stop: make(chan struct{})}
	w.ended.Go(func() {
		every := time.NewTicker(lookEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				w.look(time.Now())
			case <-w.stop:
				return
			}
		}
	})
	return w
}

func (w *waiting) end() {
	close(w.stop)
	w.ended.Wait()
}

// look tells of each question once.
func (w *waiting) look(now time.Time) {
	hosts := make(map[string][]string)
	var questions []string
	for _, f := range w.state.InFlight(now) {
		if !f.Output || f.Quiet < quietFor || f.Activity != runstate.Running {
			continue
		}
		ends, _, _ := w.state.Tail(f.Target.Index, maxPrompt)
		for s := range fleet.NumStreams {
			if text, ok := question(ends[s]); ok && !w.told[text] {
				if hosts[text] == nil {
					questions = append(questions, text)
				}
				hosts[text] = append(hosts[text], f.Target.Host.String())
				break
			}
		}
	}
	for _, text := range questions {
		w.told[text] = true
		names := ui.Truncate(ui.Visible(expr.Fold(hosts[text])), maxFolded)
		console.Say(w.to, "%s: seems to wait for an answer to %s", names, ui.Visible(text))
		console.Hint(w.to, "commands have no input here: Ctrl-C ends it, and its own option or printf 'y\\n' | COMMAND answers")
	}
}

// question returns the last line of an output if it has no end and looks like a question.
func question(end []byte) (text string, ok bool) {
	line := string(end)
	if i := strings.LastIndexAny(line, "\n\r"); i >= 0 {
		line = line[i+1:]
	}
	line = strings.TrimSpace(line)
	low := strings.ToLower(line)
	switch {
	case line == "":
		return "", false
	case strings.HasSuffix(low, "?"), strings.HasSuffix(low, ":"):
		return line, true
	case strings.HasSuffix(low, "]"), strings.HasSuffix(low, ")"), strings.HasSuffix(low, ">"):
		for _, word := range []string{"y/n", "yes/no", "y/[n]", "[y]/n", "continue", "proceed", "press"} {
			if strings.Contains(low, word) {
				return line, true
			}
		}
	}
	return "", false
}
