package hostkeys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/filelock"
	"shoal/internal/ssh"
)

var errFault = errors.New("injected fault")

// A faulter fails the n-th operation, and with goOn all later ones.
type faulter struct {
	n     int // from 1; 0: no failure
	goOn  bool
	count int
}

func (f *faulter) fails() bool {
	f.count++
	return f.n > 0 && (f.count == f.n || f.goOn && f.count > f.n)
}

func (f *faulter) hit() bool { return f.n > 0 && f.count >= f.n }

// A faultyReading is a file whose operations can be made to fail.
type faultyReading struct {
	fs.File
	*faulter
}

func (f faultyReading) Stat() (fs.FileInfo, error) {
	if f.fails() {
		return nil, errFault
	}
	return f.File.Stat()
}

func (f faultyReading) Read(p []byte) (int, error) {
	if f.fails() {
		return 0, errFault
	}
	return f.File.Read(p[:min(len(p), 64)]) // so that a file takes several reads
}

func (f *faulter) open(path string) (fs.File, error) {
	if f.fails() {
		return nil, errFault
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return faultyReading{file, f}, nil
}

func numberedKey(t testing.TB, n uint64) xssh.PublicKey {
	t.Helper()
	key, err := xssh.NewPublicKey(newEd25519(rand.New(rand.NewPCG(n, n))))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func lineOf(names string, key xssh.PublicKey) string {
	return names + " " + string(xssh.MarshalAuthorizedKey(key))
}

// Whatever fails while the files are read, no key is accepted that would have been refused, or
// that could not be checked.
// faults.md: R11
func TestEveryFailedReadRefuses(t *testing.T) {
	t.Parallel()
	good, other, revoked, listed := numberedKey(t, 1), numberedKey(t, 2), numberedKey(t, 3), numberedKey(t, 4)
	first := writeFile(t, strings.Repeat("# comment\n", 20)+lineOf("h", good))
	second := writeFile(t, lineOf("@revoked *", revoked))
	list := writeFile(t, strings.TrimPrefix(lineOf("", listed), " "))
	to := fleet.Target{Host: fleet.Host{Name: "h"}}
	for _, policy := range []Policy{Strict, AcceptNew, Insecure} {
		for n := 1; ; n++ {
			faults := &faulter{n: n}
			r := NewVerifier()
			to := ssh.Target{Target: to, Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{
				Known: ssh.HostKeySpec{Policy: policy, Files: []string{first, second}, Revoked: []string{list}},
			}}}
			r.files.open = faults.open
			for _, key := range []xssh.PublicKey{revoked, listed, other, good, good} {
				allowed := sameKey(key, good) || sameKey(key, other) && policy == Insecure
				got := reasonOf(r.Check(to, nil, key))
				switch {
				case faults.hit() && got != fleet.ReasonHostkeyFailed:
					t.Errorf("%v, fault %d: %q, want a refusal for want of a judgement", policy, n, got)
				case !faults.hit() && allowed != (got == fleet.ReasonNone):
					t.Errorf("%v, no fault: %q", policy, got)
				}
				if faults.hit() && len(r.Algorithms(to)) != 0 {
					t.Errorf("%v, fault %d: algorithms are offered", policy, n)
				}
			}
			if !faults.hit() {
				if n < 10 {
					t.Errorf("the suite is hollow: %d operations", n-1)
				}
				break
			}
		}
	}
}

// A flakyKey answers the n-th method call with nonsense.
type flakyKey struct {
	xssh.PublicKey
	*faulter
	nonsense string
}

func (k flakyKey) Type() string {
	if k.fails() {
		return k.nonsense
	}
	return k.PublicKey.Type()
}

func (k flakyKey) Marshal() []byte {
	if k.fails() {
		return []byte(k.nonsense)
	}
	return k.PublicKey.Marshal()
}

// A key that must be refused is refused whatever its methods return.
func TestAKeyThatAnswersNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	good, other, revoked := numberedKey(t, 1), numberedKey(t, 2), numberedKey(t, 3)
	path := writeFile(t, lineOf("h", good)+lineOf("@revoked *", revoked))
	to := fleet.Target{Host: fleet.Host{Name: "h"}}
	for _, nonsense := range []string{"", "ssh-ed25519", "ssh-rsa", xssh.CertAlgoED25519v01, string(other.Marshal()[:20])} {
		for _, key := range []xssh.PublicKey{other, revoked} {
			for n, hit := 1, true; hit; n++ {
				store, err := Open(Options{Files: []string{path}, Policy: AcceptNew})
				if err != nil {
					t.Fatal(err)
				}
				faults := &faulter{n: n}
				if err := store.Check(to, nil, flakyKey{key, faults, nonsense}); err == nil {
					t.Errorf("%q for answer %d is let in", nonsense, n)
				}
				hit = faults.hit()
			}
		}
	}
}

func TestATargetWithoutAnEndpointIsRefused(t *testing.T) {
	t.Parallel()
	r := NewVerifier()
	to := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}}}
	key := numberedKey(t, 1)
	if err := r.Check(to, nil, key); reasonOf(err) != fleet.ReasonHostkeyFailed || !errors.Is(err, ssh.ErrUnplanned) {
		t.Errorf("Check: %v", err)
	}
	if err := r.Accepted(context.Background(), to, key); reasonOf(err) != fleet.ReasonHostkeyFailed {
		t.Errorf("Accepted: %v", err)
	}
	if _, err := r.Judge(to, key); reasonOf(err) != fleet.ReasonHostkeyFailed {
		t.Errorf("Judge: %v", err)
	}
	if a := r.Algorithms(to); a != nil {
		t.Errorf("Algorithms: %q", a)
	}
}

// A faultyFile is a locked file whose operations can be made to fail; a failing write writes
// the first half.
type faultyFile struct {
	lockedFile
	*faulter
}

func (f faultyFile) Stat() (fs.FileInfo, error) {
	if f.fails() {
		return nil, errFault
	}
	return f.lockedFile.Stat()
}

func (f faultyFile) ReadAt(p []byte, at int64) (int, error) {
	if f.fails() {
		return 0, errFault
	}
	return f.lockedFile.ReadAt(p, at)
}

func (f faultyFile) Write(p []byte) (int, error) {
	if f.fails() {
		n, _ := f.lockedFile.Write(p[:len(p)/2])
		return n, errFault
	}
	return f.lockedFile.Write(p)
}

func (f faultyFile) Truncate(size int64) error {
	if f.fails() {
		return errFault
	}
	return f.lockedFile.Truncate(size)
}

func (f faultyFile) Close() error {
	err := f.lockedFile.Close()
	if f.fails() {
		return errFault
	}
	return err
}

// R11: every failure while a key is written is reported, the file's previous content stays, and
// a retry writes the key once.
// faults.md: R11
func TestEveryFailedWriteIsToldAndMended(t *testing.T) {
	t.Parallel()
	key, before := numberedKey(t, 1), lineOf("g", numberedKey(t, 2))
	to := fleet.Target{Host: fleet.Host{Name: "h"}}
	for _, goOn := range []bool{false, true} {
		for n := 1; ; n++ {
			path := writeFile(t, before)
			s, err := Open(Options{Files: []string{path}, Policy: AcceptNew})
			if err != nil {
				t.Fatal(err)
			}
			faults := &faulter{n: n, goOn: goOn}
			lock := s.learner.file.lock
			s.learner.file.lock = func(ctx context.Context) (lockedFile, error) {
				if faults.fails() {
					return nil, errFault
				}
				f, err := lock(ctx)
				return faultyFile{f, faults}, err
			}
			if err := s.Check(to, nil, key); err != nil {
				t.Fatal(err)
			}
			err = s.Accepted(context.Background(), to, key)
			hit := faults.hit()
			if hit != (reasonOf(err) == fleet.ReasonStoreFailed && errors.Is(err, errFault)) {
				t.Errorf("fault %d: hit %v: %v", n, hit, err)
			}
			faults.n = 0
			if err := s.Accepted(context.Background(), to, key); err != nil {
				t.Errorf("fault %d, again: %v", n, err)
			}
			checkMended(t, fmt.Sprintf("fault %d, going on %v", n, goOn), path, before, lineOf("h", key), goOn)
			if !hit {
				if n < 6 {
					t.Errorf("the suite is hollow: %d operations", n-1)
				}
				break
			}
		}
	}
}

// checkMended asserts that the file begins with its previous content and has the line once. If
// mayBeTorn, an incomplete line that could not be removed is also allowed.
func checkMended(t *testing.T, about, path, before, line string, mayBeTorn bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(string(text), before)
	lines := slices.Collect(strings.Lines(rest))
	if !ok || len(lines) == 0 || lines[len(lines)-1] != line {
		t.Fatalf("%s: file %q", about, text)
	}
	if len(lines) > 1 && !mayBeTorn {
		t.Errorf("%s: torn lines %q", about, lines[:len(lines)-1])
	}
	for _, torn := range lines[:len(lines)-1] {
		if e, err := parseLine([]byte(strings.TrimSuffix(torn, "\n"))); err == nil && e != nil {
			t.Errorf("%s: a second good line %q", about, torn)
		}
	}
}

// A panickingFile panics when it is read.
type panickingFile struct{ lockedFile }

func (panickingFile) Stat() (fs.FileInfo, error) { panic("read") }

// A panic while keys are written is that of one host: the others that wait are told, the file is
// unlocked, and the next key is written.
func TestPanicWhileWriting(t *testing.T) {
	t.Run("in the file", func(t *testing.T) { synctest.Test(t, testPanicWhileWriting(false)) })
	t.Run("in the lock", func(t *testing.T) { synctest.Test(t, testPanicWhileWriting(true)) })
}

func testPanicWhileWriting(inLock bool) func(t *testing.T) {
	return func(t *testing.T) {
		path := writeFile(t, "")
		s, err := Open(Options{Files: []string{path}, Policy: AcceptNew})
		if err != nil {
			t.Fatal(err)
		}
		lock, locked := s.learner.file.lock, make(chan struct{})
		panics := true
		s.learner.file.lock = func(ctx context.Context) (lockedFile, error) {
			if !panics {
				return lock(ctx)
			}
			<-locked
			if inLock {
				panic("lock")
			}
			f, err := lock(ctx)
			return panickingFile{f}, err
		}
		accept := func(i uint64) error {
			to := fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("h%d", i)}}
			if err := s.Check(to, nil, numberedKey(t, i)); err != nil {
				t.Error(err)
			}
			return s.Accepted(context.Background(), to, numberedKey(t, i))
		}
		var panicked any
		var work sync.WaitGroup
		work.Go(func() {
			defer func() { panicked = recover() }()
			_ = accept(1)
		})
		synctest.Wait() // it leads
		work.Go(func() {
			defer func() { _ = recover() }() // it leads after the first
			_ = accept(2)
		})
		synctest.Wait()
		close(locked)
		work.Wait()
		if panicked == nil {
			t.Error("the file was not read")
		}
		panics = false
		if err := accept(3); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(path)
		if want := lineOf("h3", numberedKey(t, 3)); err != nil || string(text) != want {
			t.Errorf("the file has %q (%v), want %q", text, err, want)
		}
	}
}

// A login that comes while another one waits in vain for the file waits for it as long as that one did.
func TestLateComersWaitForTheLockThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := writeFile(t, "")
		s, err := Open(Options{Files: []string{path}, Policy: AcceptNew})
		if err != nil {
			t.Fatal(err)
		}
		lock, refused := s.learner.file.lock, make(chan struct{})
		tries := 0
		s.learner.file.lock = func(ctx context.Context) (lockedFile, error) {
			if tries++; tries > 1 {
				return lock(ctx)
			}
			<-refused
			return nil, filelock.ErrLocked
		}
		var work sync.WaitGroup
		accept := func(i uint64) *error {
			to := fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("h%d", i)}}
			if err := s.Check(to, nil, numberedKey(t, i)); err != nil {
				t.Error(err)
			}
			result := new(error)
			work.Go(func() { *result = s.Accepted(context.Background(), to, numberedKey(t, i)) })
			synctest.Wait()
			return result
		}
		first, second := accept(1), accept(2)
		close(refused)
		work.Wait()
		if reasonOf(*first) != fleet.ReasonStoreFailed || *second != nil {
			t.Errorf("the one that waited: %v; the one that came then: %v", *first, *second)
		}
		text, err := os.ReadFile(path)
		if want := lineOf("h2", numberedKey(t, 2)); err != nil || string(text) != want {
			t.Errorf("the file has %q (%v), want %q", text, err, want)
		}
	})
}

// A waitingFile waits before it is first read.
type waitingFile struct {
	lockedFile
	ready <-chan struct{}
	read  bool
}

func (f *waitingFile) Stat() (fs.FileInfo, error) {
	if !f.read {
		<-f.ready
		f.read = true
	}
	return f.lockedFile.Stat()
}

// A connection that gave up while its key was being written does not lend what is in the file to
// another key, which was accepted meanwhile: that one would get the password, unwritten.
func TestAKeyAcceptedDuringAnotherOnesWriteIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := writeFile(t, "")
		s, err := Open(Options{Files: []string{path}, Policy: AcceptNew})
		if err != nil {
			t.Fatal(err)
		}
		lock, ready := s.learner.file.lock, make(chan struct{})
		s.learner.file.lock = func(ctx context.Context) (lockedFile, error) {
			f, err := lock(ctx)
			return &waitingFile{lockedFile: f, ready: ready}, err
		}
		to := func(name string) fleet.Target { return fleet.Target{Host: fleet.Host{Name: name}} }
		var work sync.WaitGroup
		accept := func(ctx context.Context, name string, key xssh.PublicKey) *error {
			result := new(error)
			if err := s.Check(to(name), nil, key); err != nil {
				t.Error(err)
			}
			work.Go(func() { *result = s.Accepted(ctx, to(name), key) })
			synctest.Wait()
			return result
		}
		first, second := numberedKey(t, 1), numberedKey(t, 2)
		background := context.Background()
		accept(background, "leads", numberedKey(t, 3))
		accept(background, "next", numberedKey(t, 4))
		ctx, giveUp := context.WithCancel(background)
		given := accept(ctx, "h", first)
		ready <- struct{}{} // the first is written
		synctest.Wait()     // the others are being written
		giveUp()
		synctest.Wait()
		if reasonOf(*given) != fleet.ReasonStoreFailed {
			t.Errorf("given up: %v", *given)
		}
		s.Released(to("h"), first)
		if err := s.Check(to("h"), nil, second); err != nil {
			t.Fatal(err)
		}
		close(ready)
		work.Wait()
		if err := s.AllowPassword(background, to("h"), second); reasonOf(err) != fleet.ReasonHostkeyFailed {
			t.Errorf("the password for a key that is not written: %v", err)
		}
		if s.Proven(to("h"), second) {
			t.Error("a key that is not written is proven")
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), lineOf("h", first)) || strings.Contains(string(text), lineOf("h", second)) {
			t.Errorf("the file has %q (%v)", text, err)
		}
	})
}
