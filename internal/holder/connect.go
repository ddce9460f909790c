package holder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shoal/internal/filelock"
	"shoal/internal/hint"
	"shoal/internal/ssh/persist"
)

// startTime limits the start of a process.
const startTime = 10 * time.Second

// Connect connects to the process of a state directory, and starts one if there is none: this
// program, with args, which must call Serve with its descriptor 3 as ready.
func Connect(ctx context.Context, stateDir string, args []string) (net.Conn, error) {
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	name, err := nameFor(stateDir)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(dir, name)
	c, err := dial(ctx, base)
	if !nobody(err) {
		return c, err
	}
	// One at a time: who comes second finds what the first has started.
	starting, err := os.OpenFile(base+startSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting a process that holds connections: %w", err)
	}
	defer func() { _ = starting.Close() }()
	if err := filelock.LockContext(ctx, starting, time.Now().Add(startTime)); err != nil {
		return nil, fmt.Errorf("starting a process that holds connections: %w", err)
	}
	if c, err = dial(ctx, base); !nobody(err) {
		return c, err
	}
	if err := start(ctx, base+logSuffix, args); err != nil {
		return nil, fmt.Errorf("starting a process that holds connections: %w", err)
	}
	return dial(ctx, base)
}

// nobody reports whether err says that no process has the socket.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func dial(ctx context.Context, base string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: startTime}).DialContext(ctx, "unix", base+socketSuffix)
	if err != nil {
		return nil, err
	}
	if err := checkPeer(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// kept are the environment variables that the process gets: what names and crashes depend on, and
// nothing that may be a secret.
var kept = []string{
	"HOME", "PATH", "XDG_RUNTIME_DIR", "TMPDIR", "TZ", "LANG", "LC_ALL", "LOCALDOMAIN", "RES_OPTIONS", "GODEBUG", "GOTRACEBACK", "GOMAXPROCS", "GOCOVERDIR",
}

// environment returns the variables for the process. It is never nil: exec.Cmd would pass on all.
func environment(lookUp func(name string) (value string, ok bool)) []string {
	env := []string{}
	for _, name := range kept {
		if value, ok := lookUp(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// start starts the process and waits until it is ready. It outlives this one.
func start(ctx context.Context, logPath string, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("opening its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = ready.Close() }()
	cmd := exec.Command(program) //nolint:noctx // it outlives ctx
	cmd.Args = append([]string{"shoal"}, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = environment(os.LookupEnv)
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return err
	}
	_ = ready.SetReadDeadline(time.Now().Add(startTime))
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	said, err := io.ReadAll(io.LimitReader(ready, int64(len(readyWord))))
	if string(said) == readyWord {
		return cmd.Process.Release()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait()
	return hint.Wrap(cmp.Or(err, errors.New("it has ended")), "its log: "+logPath)
}

// A Found is a process that holds connections.
type Found struct {
	persist.Status
	Socket string
	// Err is why it does not answer; Status then has only what its lock says.
	Err error
}

// List returns the processes of this user, whatever their state directory is, and removes what is
// left over of others.
func List(ctx context.Context) ([]Found, error) {
	var all []Found
	for _, dir := range dirs() {
		if private(dir) != nil {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("looking for sockets: %w", err)
		}
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), lockSuffix)
			if !ok {
				continue
			}
			base := filepath.Join(dir, name)
			r, alive := read(base)
			if !alive {
				continue
			}
			f := Found{Socket: base + socketSuffix}
			f.Status, f.Err = ask(ctx, base, persist.Query)
			if f.Err != nil {
				f.PID, f.StateDir = r.PID, r.StateDir
			}
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b Found) int { return cmp.Or(cmp.Compare(a.StateDir, b.StateDir), cmp.Compare(a.PID, b.PID)) })
	return all, nil
}

// read returns what a lock file says, and whether its process lives.
func read(base string) (r record, alive bool) {
	f, err := os.OpenFile(base+lockSuffix, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return record{}, false
	}
	defer func() { _ = f.Close() }()
	if err := filelock.Try(f, unix.LOCK_EX); !errors.Is(err, filelock.ErrLocked) {
		if err == nil && isAt(f, base+lockSuffix) {
			_ = os.Remove(base + socketSuffix) // whoever starts now waits for the lock, and makes both anew
			_ = os.Remove(base + lockSuffix)
		}
		return record{}, false
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err == nil {
		_ = json.Unmarshal(text, &r) // without it, it is listed by its socket
	}
	return r, true
}

func ask(ctx context.Context, base string, what persist.Request) (persist.Status, error) {
	c, err := dial(ctx, base)
	if err != nil {
		return persist.Status{}, err
	}
	return persist.Ask(ctx, c, what)
}

// Ask asks a process for something, and waits until one that is to stop has ended. If that does
// not answer, it is killed.
func (f Found) Ask(ctx context.Context, what persist.Request) error {
	base := strings.TrimSuffix(f.Socket, socketSuffix)
	_, err := ask(ctx, base, what)
	if what != persist.Stop {
		return err
	}
	if err != nil && f.PID > 1 {
		if _, alive := read(base); !alive {
			return nil
		}
		if err := unix.Kill(f.PID, unix.SIGKILL); err != nil {
			return fmt.Errorf("ending the process, which does not answer: %w", err)
		}
	}
	for until := time.Now().Add(startTime); ; {
		if _, alive := read(base); !alive {
			return nil
		}
		if time.Now().After(until) {
			return hint.New(fmt.Sprintf("the process has not ended within %v", startTime), fmt.Sprintf("kill -9 %d ends it", f.PID))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
