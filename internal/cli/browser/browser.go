package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"shoal/hosts/expr"
	"shoal/internal/browse"
	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// framesPerSecond limits how often the screen is drawn: a key is seen after 17 ms. Changes of
// the run come at most five times a second.
const framesPerSecond = 60

// Check returns an error if there is no terminal for a browser.
func Check(stdio console.Stdio, instead string) error {
	in, isFile := stdio.In.(*os.File)
	out := ui.Inspect(stdio.Out, os.Getenv)
	switch {
	case !out.Terminal || !isFile || !ui.Inspect(in, os.Getenv).Terminal:
		return hint.New("the browser needs a terminal as standard input and output", instead)
	case !out.Moves:
		return hint.New("the browser needs a terminal whose cursor can be moved: TERM says that this one cannot", instead)
	}
	return nil
}

// A Browser has the terminal from New to Wait.
type Browser struct {
	model   *browse.Model
	program *tea.Program
	cancel  context.CancelFunc // ends what the model and the pager do
	quit    sync.Once
	stopped chan os.Signal // sent by package signal, until ended is closed
	ended   chan struct{}  // closed by run
	err     error          // of the program; read after ended
	all     sync.WaitGroup
	outside atomic.Bool // another program has the terminal
}

// Start shows a browser. Options that concern the terminal are set here. suspended, if not "",
// is printed when the process is suspended.
func Start(ctx context.Context, o browse.Options, suspended string, stdio console.Stdio) *Browser {
	ctx, cancel := context.WithCancel(ctx)
	b := &Browser{cancel: cancel, stopped: make(chan os.Signal, 8), ended: make(chan struct{})}
	o.Colour = ui.Inspect(stdio.Out, os.Getenv).Colour
	o.Suspend = func() tea.ExecCommand {
		return &away{b: b, run: func(out io.Writer) error {
			if suspended != "" {
				console.Say(out, "%s", suspended)
			}
			stop()
			return nil
		}}
	}
	o.Page = func(write func(io.Writer) error) tea.ExecCommand {
		return &away{b: b, run: func(out io.Writer) error { return page(ctx, write, out) }}
	}
	o.Broken = b.Quit
	b.model = browse.New(ctx, o)
	profile := colorprofile.ANSI
	if !o.Colour {
		profile = colorprofile.ASCII
	}
	b.program = tea.NewProgram(b.model, tea.WithInput(stdio.In), tea.WithOutput(stdio.Out),
		tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond), tea.WithColorProfile(profile))
	b.all.Go(func() {
		defer close(b.ended)
		_, b.err = b.program.Run()
	})
	b.all.Go(func() {
		select {
		case <-ctx.Done():
			b.Quit()
		case <-b.ended:
		}
	})
	return b
}

// Listen has the browser leave at SIGINT, SIGTERM and SIGHUP, suspend at SIGTSTP, and give the
// terminal back before SIGQUIT ends the process: for a browser without a run, whose own
// handling does that.
func (b *Browser) Listen() {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTSTP, syscall.SIGQUIT} {
		if !signal.Ignored(sig) {
			signal.Notify(b.stopped, sig)
		}
	}
	b.all.Go(func() {
		for {
			select {
			case <-b.ended:
				signal.Stop(b.stopped)
				return
			case sig := <-b.stopped:
				switch sig {
				case os.Interrupt:
					if !b.Outside() { // it is the other program's
						b.Quit()
					}
				case syscall.SIGTSTP:
					b.Suspend()
				case syscall.SIGQUIT:
					b.Quit()
					<-b.ended
					signal.Reset(syscall.SIGQUIT)
					_ = syscall.Kill(syscall.Getpid(), syscall.SIGQUIT)
				default:
					b.Quit()
				}
			}
		}
	})
}

// Outside reports whether another program, such as a pager, has the terminal.
func (b *Browser) Outside() bool { return b.outside.Load() }

// Suspend stops the process with the terminal as it was, and returns when that has begun or the
// browser has ended. While another program has the terminal, this one stops at once.
func (b *Browser) Suspend() {
	if b.Outside() {
		stop()
		return
	}
	b.program.Send(browse.Suspend{})
}

// Quit ends the browser, and a pager that it has started. It does not wait for that.
func (b *Browser) Quit() {
	b.quit.Do(func() {
		b.cancel()
		b.all.Go(b.program.Quit) // its context would end it too, and leave a reader of keys behind
	})
}

// Ended is closed when the browser has given the terminal back.
func (b *Browser) Ended() <-chan struct{} { return b.ended }

// Wait waits for the end of the browser, and returns the command line that the person wants
// to run next, or nil.
func (b *Browser) Wait() (rerun []string, err error) {
	<-b.ended
	b.cancel()
	b.all.Wait()
	err = errors.Join(b.err, b.model.Err(), b.model.Close())
	if err != nil {
		err = fmt.Errorf("the browser: %w", err)
	}
	return b.model.Rerun(), err
}

// An away is a tea.ExecCommand for which the terminal is as it was.
type away struct {
	b   *Browser
	run func(out io.Writer) error

	out io.Writer
}

func (a *away) SetStdin(io.Reader)    {}
func (a *away) SetStdout(w io.Writer) { a.out = w }
func (a *away) SetStderr(io.Writer)   {}

// Run implements tea.ExecCommand.
func (a *away) Run() error {
	a.b.outside.Store(true)
	defer a.b.outside.Store(false)
	return a.run(a.out)
}

// stop stops this process until it is continued.
func stop() {
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGCONT)
	defer signal.Stop(resumed)
	console.StopProcess()
	select {
	case <-resumed:
	case <-time.After(time.Second):
	}
}

// page shows what write gives it in the person's pager.
func page(ctx context.Context, write func(io.Writer) error, out io.Writer) error {
	pager := os.Getenv("PAGER")
	if pager == "" {
		pager = "less"
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", pager)
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting the pager: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the pager: %w", err)
	}
	failed := write(in)
	if errors.Is(failed, syscall.EPIPE) { // the pager was left
		failed = nil
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		return hint.Wrap(fmt.Errorf("the pager %q: %w", pager, err), "PAGER names another")
	}
	return failed
}

// RerunLine returns browse.Options.Rerun for a run of the journal in a state directory; "" is
// the usual one.
func RerunLine(run, stateDir string) func(words, names []string) (args []string, line string, err error) {
	return func(words, names []string) (args []string, line string, err error) {
		args = append(args, "rerun")
		if stateDir != "" {
			args = append(args, "--state-dir", stateDir)
		}
		args = append(args, run, strings.Join(words, ","))
		if names != nil {
			folded := expr.Fold(names)
			if e, err := expr.Parse(folded); err != nil || !e.Set().Equal(expr.SetOf(names)) {
				return nil, "", fmt.Errorf("the names of these hosts cannot be written as an expression: %s", ui.Truncate(ui.Visible(folded), 60))
			}
			args = append(args, folded)
		}
		return args, shellLine(args), nil
	}
}

// shellLine returns the arguments as a line for a shell.
func shellLine(args []string) string {
	text := "shoal"
	for _, arg := range args {
		text += " " + hint.ShellWord(arg)
	}
	return text
}

// SayLine prints the command line that is run now.
func SayLine(w io.Writer, args []string) { console.Say(w, "running: %s", ui.Visible(shellLine(args))) }
