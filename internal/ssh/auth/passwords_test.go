package auth_test

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
	"time"

	"shoal/fleet"
	"shoal/internal/ssh/auth"
	"shoal/internal/ui"
)

// A passwordSource has the methods that a Dialer calls.
type passwordSource interface {
	Password(ctx context.Context, t fleet.Target) ([]byte, func(accepted bool), error)
	Answer(ctx context.Context, t fleet.Target, prompt string, echo bool) ([]byte, func(accepted bool), error)
}

var _ passwordSource = (*auth.Passwords)(nil)

func passwords(t testing.TB, o auth.PasswordOptions) *auth.Passwords {
	t.Helper()
	if o.Source == nil {
		o.Source = func(context.Context) ([]byte, error) { return []byte(canary), nil }
	}
	p, err := auth.NewPasswords(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func host(n int) fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("h%d", n)}, User: "me"}
}

// wantPassword asserts that the password is given out, and returns the function that reports
// the answer.
func wantPassword(t testing.TB, p *auth.Passwords, target fleet.Target) (answered func(accepted bool)) {
	t.Helper()
	got, answered, err := p.Password(t.Context(), target)
	if err != nil || string(got) != canary {
		t.Errorf("%s: %q, %v", target.Host, got, err)
		return func(bool) {}
	}
	return answered
}

func refusalOf(t testing.TB, p *auth.Passwords, target fleet.Target) error {
	t.Helper()
	_, _, err := p.Password(t.Context(), target)
	return err
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
	p := passwords(t, auth.PasswordOptions{Source: func(context.Context) ([]byte, error) {
		asked.Add(1)
		return given, nil
	}})
	wantPassword(t, p, host(0))(true)
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
	if err := refusalOf(t, p, host(200)); err == nil {
		t.Error("it is given after it was overwritten")
	}
}

func TestAPasswordThatIsNotGot(t *testing.T) {
	t.Parallel()
	cause := errors.New("nobody is there")
	p := passwords(t, auth.PasswordOptions{Source: func(context.Context) ([]byte, error) { return nil, cause }})
	if err := p.Prepare(t.Context()); !errors.Is(err, cause) {
		t.Error(err)
	}
	err := refusalOf(t, p, someTarget)
	wantReason(t, err, fleet.ReasonNoIdentity)
	if !errors.Is(err, cause) {
		t.Error(err)
	}
}

func TestEachServerGetsItOnce(t *testing.T) {
	t.Parallel()
	p := passwords(t, auth.PasswordOptions{MaxRejections: 10})
	wantPassword(t, p, host(1))(false)
	wantRefusal(t, refusalOf(t, p, host(1)), "once already")
	_, _, err := p.Answer(t.Context(), host(1), "Password: ", false)
	wantRefusal(t, err, "once already")

	another := host(1)
	another.User = "you"
	wantPassword(t, p, another)

	// A server that accepted it gets it again at the next connection, until it rejects it.
	wantPassword(t, p, host(2))(true)
	wantPassword(t, p, host(2))(false)
	wantRefusal(t, refusalOf(t, p, host(2)), "once already")
}

// While one connection waits for the server's answer, the others of the same account wait for
// it too: an acceptance is good for all, a rejection or the end of the connection refuses all.
func TestOneAccountWaitsForItsAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end func(answered func(bool), cancel context.CancelFunc)
		got int32
	}{
		"accepted": {func(answered func(bool), _ context.CancelFunc) { answered(true) }, 10},
		"accepted late": {func(answered func(bool), _ context.CancelFunc) {
			time.Sleep(time.Minute)
			answered(true)
		}, 10},
		"rejected":     {func(answered func(bool), _ context.CancelFunc) { answered(false) }, 1},
		"disconnected": {func(_ func(bool), cancel context.CancelFunc) { cancel() }, 1},
		"disconnected late": {func(_ func(bool), cancel context.CancelFunc) {
			time.Sleep(time.Minute)
			cancel()
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := passwords(t, auth.PasswordOptions{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_, answered, err := p.Password(ctx, host(0))
				if err != nil {
					t.Fatal(err)
				}
				var got, over atomic.Int32
				got.Store(1)
				var wg sync.WaitGroup
				for range 9 {
					wg.Go(func() {
						defer over.Add(1)
						if _, told, err := p.Password(t.Context(), host(0)); err == nil {
							got.Add(1)
							told(true)
						} else {
							wantRefusal(t, err, "once already")
						}
					})
				}
				synctest.Wait()
				if n := over.Load(); n != 0 {
					t.Errorf("%d did not wait for the answer", n)
				}
				c.end(answered, cancel)
				wg.Wait()
				if n := got.Load(); n != c.got {
					t.Errorf("%d got the password, want %d", n, c.got)
				}
			})
		})
	}
	// The wait ends with the connection of the one that waits.
	p := passwords(t, auth.PasswordOptions{})
	wantPassword(t, p, host(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.Password(ctx, host(0)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTheGlobalStop(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 1, 5} {
		p := passwords(t, auth.PasswordOptions{MaxRejections: most})
		if most == 0 {
			most = 3
		}
		for i := range most {
			answered := wantPassword(t, p, host(i))
			answered(false)
			answered(false) // a repeated answer counts once
		}
		wantRefusal(t, refusalOf(t, p, host(100)), fmt.Sprintf("the password was rejected by %s and accepted by none", ui.CountOf(most, "server", "servers")))
	}
}

// One success ends the limits: a later rejection is specific to that server.
func TestOneSuccessEndsTheCaution(t *testing.T) {
	t.Parallel()
	p := passwords(t, auth.PasswordOptions{})
	for i := range 2 {
		wantPassword(t, p, host(i))(false)
	}
	wantPassword(t, p, host(2))(true)
	for i := range 20 {
		wantPassword(t, p, host(10+i))(false)
	}
	wantPassword(t, p, host(3))
}

// Before any server has accepted it, at most MaxRejections servers have it: a thousand
// concurrent connections do not lock the account.
// faults.md: A12
func TestAWrongPasswordReachesFewServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := passwords(t, auth.PasswordOptions{})
		asked := make(chan struct{}) // closed when all have asked
		var sent, refusals atomic.Int32
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				_, answered, err := p.Password(t.Context(), host(i))
				if err != nil {
					refusals.Add(1)
					return
				}
				sent.Add(1)
				<-asked
				answered(false)
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
		p := passwords(t, auth.PasswordOptions{MaxRejections: 1})
		answered := wantPassword(t, p, host(0))
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
			_, _, err := p.Password(ctx, host(50))
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
		answered(true)
		wg.Wait()
		wantPassword(t, p, host(50)) // this server never had it
	})
}

// Every ending of a connection that got the password ends its loan exactly once, whether or not
// the Dialer reports an answer.
// faults.md: A12
func TestEveryEndingGivesThePlaceBack(t *testing.T) {
	t.Parallel()
	const most = 2
	for name, c := range map[string]struct {
		end    func(answered func(bool), cancel context.CancelFunc)
		counts string // in the refusal after all loans ended this way
	}{
		"rejected": {func(answered func(bool), _ context.CancelFunc) { answered(false) }, "rejected by 2 servers and"},
		"rejected, told twice": {func(answered func(bool), _ context.CancelFunc) {
			answered(false)
			answered(false)
		}, "rejected by 2 servers and"},
		"rejected, and the connection ends": {func(answered func(bool), cancel context.CancelFunc) {
			answered(false)
			cancel()
		}, "rejected by 2 servers and"},
		"the connection ends": {
			func(_ func(bool), cancel context.CancelFunc) { cancel() },
			"rejected by 0 servers, left without an answer by 4",
		},
		"silence": {
			func(func(bool), context.CancelFunc) { time.Sleep(5 * time.Second) },
			"rejected by 0 servers, left without an answer by 4",
		},
		"silence, then the end": {func(_ func(bool), cancel context.CancelFunc) {
			time.Sleep(5 * time.Second)
			cancel()
		}, "rejected by 0 servers, left without an answer by 4"},
		"silence, then no": {func(answered func(bool), _ context.CancelFunc) {
			time.Sleep(5 * time.Second)
			answered(false)
		}, "rejected by 2 servers and"},
		"the end, then no": {func(answered func(bool), cancel context.CancelFunc) {
			cancel()
			synctest.Wait()
			answered(false)
		}, "rejected by 2 servers and"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := passwords(t, auth.PasswordOptions{MaxRejections: most, MaxUnanswered: 2 * most})
				for i := 0; ; i++ {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					_, answered, err := p.Password(ctx, host(i))
					if err != nil {
						wantRefusal(t, err, c.counts)
						break
					}
					c.end(answered, cancel)
					synctest.Wait()
				}
			})
		})
	}
}

// Servers that close the connection on the password, for example because the account has
// expired, do not delay the others.
// faults.md: A12
func TestServersThatDoNotAnswerHoldNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := passwords(t, auth.PasswordOptions{})
		start := time.Now()
		for i := range 9 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, _, err := p.Password(ctx, host(i)); err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
		}
		answered := wantPassword(t, p, host(9))
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v for servers that had gone", waited)
		}
		// The tenth server accepts just before it counts as unanswered.
		others := make(chan struct{}) // closed when the next has it
		go func() {
			defer close(others)
			wantPassword(t, p, host(10))
		}()
		time.Sleep(5*time.Second - 1)
		answered(true)
		<-others
		if waited := time.Since(start); waited != 5*time.Second-1 {
			t.Errorf("waited %v, want until the answer", waited)
		}
	})
}

// A late acceptance ends the limits.
func TestALateYesCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := passwords(t, auth.PasswordOptions{MaxRejections: 1, MaxUnanswered: 1})
		answered := wantPassword(t, p, host(0))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantRefusal(t, refusalOf(t, p, host(1)), "left without an answer by 1")
		answered(true)
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
		got, _, err := passwords(t, auth.PasswordOptions{}).Answer(t.Context(), host(0), prompt, false)
		if want {
			if err != nil || string(got) != canary {
				t.Errorf("%q: %q, %v", prompt, got, err)
			}
		} else {
			wantRefusal(t, err, "the server asks \"")
		}
		_, _, err = passwords(t, auth.PasswordOptions{}).Answer(t.Context(), host(0), prompt, true)
		wantRefusal(t, err, "would show the answer")
	}

	p := passwords(t, auth.PasswordOptions{Prompts: []*regexp.Regexp{regexp.MustCompile(`^Kennwort: $`)}})
	if _, _, err := p.Answer(t.Context(), host(0), "Kennwort: ", false); err != nil {
		t.Error(err)
	}
	_, _, err := p.Answer(t.Context(), host(1), "Password: ", false)
	wantRefusal(t, err, "the server asks")
}

// A prompt in an error is bounded and quoted, since it is the server's text.
// faults.md: A05
func TestHostilePrompts(t *testing.T) {
	t.Parallel()
	_, _, err := passwords(t, auth.PasswordOptions{}).Answer(t.Context(), host(0), "\x1b]0;x\a"+strings.Repeat("x", 1<<20), false)
	wantRefusal(t, err, `"\x1b]0;x\ax`)
	if len(err.Error()) > 300 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestPasswordOptionsAreValidated(t *testing.T) {
	t.Parallel()
	for _, o := range []auth.PasswordOptions{
		{},
		{Source: auth.FromFile("x"), MaxRejections: -1},
		{Source: auth.FromFile("x"), MaxUnanswered: -1},
		{Source: auth.FromFile("x"), AnswerTime: -1},
	} {
		if _, err := auth.NewPasswords(o); err == nil {
			t.Errorf("%d rejections are taken", o.MaxRejections)
		}
	}
}

// A server whose connection was lost gets the password again in the next run, and one that has
// rejected it does not.
func TestRenew(t *testing.T) {
	t.Parallel()
	p := passwords(t, auth.PasswordOptions{})
	wantPassword(t, p, host(0))(true)
	wantPassword(t, p, host(1))(false)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := p.Password(ctx, host(2)); err != nil {
			t.Fatal(err)
		}
		cancel()
		wantRefusal(t, refusalOf(t, p, host(2)), "once already") // it waits until the loss is known
		p.Renew()
	}
	wantRefusal(t, refusalOf(t, p, host(1)), "once already")
	wantPassword(t, p, host(2))(true)
	p.Renew()
	wantPassword(t, p, host(2))
}

// Behind other jump hosts, the same address is that of another server.
func TestAPasswordForTheSameAddressBehindOtherJumpHosts(t *testing.T) {
	t.Parallel()
	p := passwords(t, auth.PasswordOptions{})
	behind := func(jumps ...string) fleet.Target {
		target := fleet.Target{Host: fleet.Host{Name: "10.0.0.5"}, User: "me"}
		next := &target
		for _, name := range jumps {
			next.Route = &fleet.Route{Via: &fleet.Target{Host: fleet.Host{Name: name}}}
			next = next.Route.Via
		}
		return target
	}
	wantPassword(t, p, behind("east"))(false)
	for _, target := range []fleet.Target{behind("west"), behind(), behind("east", "gate")} {
		wantPassword(t, p, target)(true)
	}
	wantRefusal(t, refusalOf(t, p, behind("east")), "once already")
}

// So it is behind other proxy commands, also those of jump hosts.
func TestAPasswordForTheSameAddressBehindOtherProxyCommands(t *testing.T) {
	t.Parallel()
	p := passwords(t, auth.PasswordOptions{})
	behind := func(words ...string) fleet.Target {
		return fleet.Target{Host: fleet.Host{Name: "10.0.0.5"}, User: "me", Route: &fleet.Route{ProxyCommand: words}}
	}
	jump := func(words ...string) fleet.Target {
		via := behind(words...)
		return fleet.Target{Host: fleet.Host{Name: "10.0.1.5"}, User: "me", Route: &fleet.Route{Via: &via}}
	}
	wantPassword(t, p, behind("nc", "east"))(false)
	wantPassword(t, p, behind("nc", "west"))(true)
	wantPassword(t, p, jump("nc", "east"))(true)
	wantPassword(t, p, jump("nc", "west"))(false)
	wantRefusal(t, refusalOf(t, p, behind("nc", "east")), "once already")
	wantRefusal(t, refusalOf(t, p, jump("nc", "west")), "once already")
}
