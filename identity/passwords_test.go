package identity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"shoal/fleet"
	"shoal/identity"
)

// A passwordSource is what a Dialer asks.
type passwordSource interface {
	Password(ctx context.Context, t fleet.Target) ([]byte, error)
	Answer(ctx context.Context, t fleet.Target, prompt string, echo bool) ([]byte, error)
	Answered(t fleet.Target, accepted bool)
}

var _ passwordSource = (*identity.Passwords)(nil)

func passwords(t testing.TB, o identity.PasswordOptions) *identity.Passwords {
	t.Helper()
	if o.Source == nil {
		o.Source = func(context.Context) ([]byte, error) { return []byte(canary), nil }
	}
	p, err := identity.NewPasswords(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func host(n int) fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("h%d", n)}, User: "me"}
}

// wantPassword has the password be given.
func wantPassword(t testing.TB, p *identity.Passwords, target fleet.Target) {
	t.Helper()
	got, err := p.Password(t.Context(), target)
	if err != nil || string(got) != canary {
		t.Errorf("%s: %q, %v", target.Host, got, err)
	}
}

func wantRefusal(t testing.TB, err error, text string) {
	t.Helper()
	var e *fleet.Error
	if !errors.As(err, &e) || e.Reason != fleet.ReasonAuthFailed || e.Phase != fleet.PhaseAuth ||
		e.Outcome != fleet.OutcomeNeverStarted || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, want a refusal with %q", err, text)
	}
	wantNoCanary(t, fmt.Sprint(err), fmt.Sprintf("%#v", err))
}

func TestThePasswordIsAskedForOnce(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	given := []byte(canary)
	p := passwords(t, identity.PasswordOptions{Source: func(context.Context) ([]byte, error) {
		asked.Add(1)
		return given, nil
	}})
	wantPassword(t, p, host(0))
	p.Answered(host(0), true)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { wantPassword(t, p, host(i+1)) })
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	if !bytes.Equal(given, make([]byte, len(canary))) {
		t.Errorf("what was given is %q after use", given)
	}
	p.Wipe()
	if _, err := p.Password(t.Context(), host(200)); err == nil {
		t.Error("it is given after it was overwritten")
	}
}

func TestAPasswordThatIsNotGot(t *testing.T) {
	t.Parallel()
	cause := errors.New("nobody is there")
	p := passwords(t, identity.PasswordOptions{Source: func(context.Context) ([]byte, error) { return nil, cause }})
	if err := p.Prepare(t.Context()); !errors.Is(err, cause) {
		t.Error(err)
	}
	_, err := p.Password(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonNoIdentity)
	if !errors.Is(err, cause) {
		t.Error(err)
	}
}

func TestEachServerGetsItOnce(t *testing.T) {
	t.Parallel()
	p := passwords(t, identity.PasswordOptions{MaxRejections: 10})
	wantPassword(t, p, host(1))
	_, err := p.Password(t.Context(), host(1))
	wantRefusal(t, err, "once already")
	p.Answered(host(1), false)
	_, err = p.Password(t.Context(), host(1))
	wantRefusal(t, err, "once already")
	_, err = p.Answer(t.Context(), host(1), "Password: ", false)
	wantRefusal(t, err, "once already")

	another := host(1)
	another.User = "you"
	wantPassword(t, p, another)

	// One that took it gets it at the next connection, until it says no.
	wantPassword(t, p, host(2))
	p.Answered(host(2), true)
	wantPassword(t, p, host(2))
	p.Answered(host(2), false)
	_, err = p.Password(t.Context(), host(2))
	wantRefusal(t, err, "once already")
}

func TestTheGlobalStop(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 1, 5} {
		p := passwords(t, identity.PasswordOptions{MaxRejections: most})
		if most == 0 {
			most = 3
		}
		for i := range most {
			wantPassword(t, p, host(i))
			p.Answered(host(i), false)
			p.Answered(host(i), false) // said twice, it counts once
		}
		_, err := p.Password(t.Context(), host(100))
		wantRefusal(t, err, fmt.Sprintf("the password was rejected by %d servers and accepted by none", most))
	}
}

// One success ends the caution: a server that says no then has its own reasons.
func TestOneSuccessEndsTheCaution(t *testing.T) {
	t.Parallel()
	p := passwords(t, identity.PasswordOptions{})
	for i := range 2 {
		wantPassword(t, p, host(i))
		p.Answered(host(i), false)
	}
	wantPassword(t, p, host(2))
	p.Answered(host(2), true)
	for i := range 20 {
		wantPassword(t, p, host(10+i))
		p.Answered(host(10+i), false)
	}
	wantPassword(t, p, host(3))
}

// While no server has accepted it, no more have it than may reject it; a
// thousand at once do not lock the account.
func TestAWrongPasswordReachesFewServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := passwords(t, identity.PasswordOptions{})
		asked := make(chan struct{}) // closed when all have
		var sent, refusals atomic.Int32
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if _, err := p.Password(t.Context(), host(i)); err != nil {
					refusals.Add(1)
					return
				}
				sent.Add(1)
				<-asked
				p.Answered(host(i), false)
			})
		}
		synctest.Wait()
		if sent.Load() != 3 || refusals.Load() != 0 {
			t.Errorf("%d got it and %d did not before any outcome, want 3 and 0", sent.Load(), refusals.Load())
		}
		close(asked)
		wg.Wait()
		if sent.Load() != 3 || refusals.Load() != 997 {
			t.Errorf("%d got it and %d did not, want 3 and 997", sent.Load(), refusals.Load())
		}
	})
}

func TestThoseWhoWaitGetItWhenOneAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := passwords(t, identity.PasswordOptions{MaxRejections: 1})
		wantPassword(t, p, host(0))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		var got atomic.Int32
		for i := range 10 {
			wg.Go(func() {
				wantPassword(t, p, host(1+i))
				got.Add(1)
			})
		}
		gaveUp := make(chan error, 1)
		go func() {
			_, err := p.Password(ctx, host(50))
			gaveUp <- err
		}()
		synctest.Wait()
		if got.Load() != 0 {
			t.Errorf("%d have it before the first server spoke", got.Load())
		}
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.Answered(host(0), true)
		wg.Wait()
		wantPassword(t, p, host(50)) // it never had it
	})
}

// An attempt that ends without an outcome counts as rejected, and after a
// success as nothing at all.
func TestAnOutcomeThatNeverComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := passwords(t, identity.PasswordOptions{MaxRejections: 2})
		for i := range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := p.Password(ctx, host(i)); err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
		}
		_, err := p.Password(t.Context(), host(2))
		wantRefusal(t, err, "rejected by 2 servers")

		p = passwords(t, identity.PasswordOptions{MaxRejections: 1})
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := p.Password(ctx, host(0)); err != nil {
			t.Fatal(err)
		}
		p.Answered(host(0), true)
		cancel()
		synctest.Wait()
		wantPassword(t, p, host(0))
		wantPassword(t, p, host(1))
	})
}

func TestWhichPromptsAreAnswered(t *testing.T) {
	t.Parallel()
	for prompt, want := range map[string]bool{
		"Password:": true, "Password: ": true, "password:": true, "PASSWORD :": true,
		"(me@host) Password: ": true, "me@host's password:": true, "Password for me@host:": true,
		"password for user:": true, "Enter password: ": true, "LDAP Password: ": true, "Welcome.\nPassword: ": true,

		"": false, "Password": false, "New password: ": false, "Retype new password: ": false,
		"Current password: ": false, "(current) UNIX password: ": false, "Enter old password:": false,
		"Your password has expired.\nPassword: ": false, "Verification code: ": false, "Passcode:": false,
		"One-time password: ": false, "OTP password:": false, "Token password:": false, "Enter PIN: ": false,
		"[sudo] password for me: ": false, "Passphrase for key:": false, "Password: yes/no? ": false,
		"mypassword:": false, "Password:\nSecret answer: ": false, "Password for me and you: ": false,
		strings.Repeat("x ", 200) + "password:": false, "\xff\xfe": false,
	} {
		got, err := passwords(t, identity.PasswordOptions{}).Answer(t.Context(), host(0), prompt, false)
		if want {
			if err != nil || string(got) != canary {
				t.Errorf("%q: %q, %v", prompt, got, err)
			}
		} else {
			wantRefusal(t, err, "the server asks \"")
		}
		_, err = passwords(t, identity.PasswordOptions{}).Answer(t.Context(), host(0), prompt, true)
		wantRefusal(t, err, "would show the answer")
	}

	p := passwords(t, identity.PasswordOptions{Prompts: []*regexp.Regexp{regexp.MustCompile(`^Kennwort: $`)}})
	if _, err := p.Answer(t.Context(), host(0), "Kennwort: ", false); err != nil {
		t.Error(err)
	}
	_, err := p.Answer(t.Context(), host(1), "Password: ", false)
	wantRefusal(t, err, "the server asks")
}

// A prompt is the server's text: bounded and quoted.
func TestHostilePrompts(t *testing.T) {
	t.Parallel()
	_, err := passwords(t, identity.PasswordOptions{}).Answer(t.Context(), host(0), "\x1b]0;x\a"+strings.Repeat("x", 1<<20), false)
	wantRefusal(t, err, `"\x1b]0;x\ax`)
	if len(err.Error()) > 300 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestPasswordOptionsAreValidated(t *testing.T) {
	t.Parallel()
	for _, o := range []identity.PasswordOptions{{}, {Source: identity.FromFile("x"), MaxRejections: -1}} {
		if _, err := identity.NewPasswords(o); err == nil {
			t.Errorf("%d rejections are taken", o.MaxRejections)
		}
	}
}
