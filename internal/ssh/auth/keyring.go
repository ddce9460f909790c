package auth

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Keyring loads each key file, each certificate and each agent's list once, when a target
// first needs it, and shares them between targets. It implements ssh.Identities: each target is
// offered the keys of its endpoint (ssh.Settings.Keys). It is safe for concurrent use.
type Keyring struct {
	KeyringOptions
	now func() time.Time

	files  memo[*keyFile]
	opened memo[fileSigner]
	certs  memo[*ssh.Certificate]
	sets   *memo[*Set] // replaced by Renew; mu must be held
	// asking is held while a person is asked for a passphrase; capacity 1.
	asking chan struct{}

	mu      sync.Mutex
	sealed  bool // no more questions
	closed  bool
	agents  map[string]*agent // by socket path
	loading sync.WaitGroup    // of the agents' lists
	notices []string
	told    map[string]bool
}

// NewKeyring returns an empty Keyring.
func NewKeyring(o KeyringOptions) (*Keyring, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Keyring{
		KeyringOptions: o.withDefaults(),
		now:            time.Now,
		asking:         make(chan struct{}, 1),
		agents:         make(map[string]*agent),
		told:           make(map[string]bool),
		sets:           new(memo[*Set]),
	}, nil
}

// Set returns the keys for a KeySpec; equal specs share one *Set. A file that cannot be used is
// a notice. It returns an error only if ctx ends.
func (k *Keyring) Set(ctx context.Context, w KeySpec) (*Set, error) {
	k.mu.Lock()
	sets := k.sets
	k.mu.Unlock()
	return sets.get(ctx, specID(w), func() (*Set, error) {
		set, err := k.selectKeys(ctx, clean(w))
		if err != nil {
			return nil, err
		}
		k.tell(set.notices)
		return set, nil
	})
}

// Prepare loads the keys for all specs of a run before it starts, so that all passphrases are
// asked for now. Afterwards no passphrase is asked for: a later file that needs one is left out
// with a notice. It returns an error only if ctx ends.
func (k *Keyring) Prepare(ctx context.Context, wants iter.Seq[KeySpec]) error {
	for w := range wants {
		if _, err := k.Set(ctx, w); err != nil {
			return fmt.Errorf("loading keys: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sealed = true
	return nil
}

// Renew asks each agent again for its list of keys, where one has been asked. If a list is another
// one, or there is none any more, targets are offered keys by what it is now. Files are not read again. An
// agent that has not answered when ctx ends, or in renewTimeout, keeps its list. One that was given
// up, because it did not answer in time, gets a new connection if it answers now.
func (k *Keyring) Renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	k.mu.Lock()
	agents := maps.Clone(k.agents)
	k.mu.Unlock()
	for socket, a := range agents {
		select {
		case <-a.listed:
		default:
			continue // it is being asked
		}
		k.renew(ctx, socket, a)
	}
}

// renew is Renew of one agent.
func (k *Keyring) renew(ctx context.Context, socket string, a *agent) {
	now := &agent{link: a.link, listed: make(chan struct{})}
	anew := a.link.hung.Load()
	if anew {
		now = newAgent(socket, k.SignTimeout)
	}
	now.load(ctx)
	taken := ctx.Err() == nil && (anew && now.err == nil || !anew && !now.same(a))
	if taken {
		k.mu.Lock()
		if taken = !k.closed; taken {
			k.agents[socket], k.sets = now, new(memo[*Set])
		}
		k.mu.Unlock()
	}
	switch {
	case anew && taken:
		a.link.close()
	case anew:
		now.link.close()
	}
}

// renewTimeout bounds how long Renew waits: a run waits with it.
const renewTimeout = time.Second

// Notices returns, for people, which keys have been left out so far and why, without
// duplicates.
func (k *Keyring) Notices() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.notices)
}

// Close closes the connections to the agents. Keys in agents can no longer sign; keys from
// files can.
func (k *Keyring) Close() error {
	k.mu.Lock()
	k.closed = true
	agents := slices.Collect(maps.Values(k.agents))
	k.mu.Unlock()
	for _, a := range agents {
		a.link.close()
	}
	k.loading.Wait()
	return nil
}

func (k *Keyring) tell(notices []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range notices {
		if !k.told[n] {
			k.told[n] = true
			k.notices = append(k.notices, n)
		}
	}
}

func (k *Keyring) agent(ctx context.Context, socket string) (*agent, error) {
	a := k.agentAt(socket)
	select {
	case <-a.listed:
		return a, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the agent's list of keys: %w", context.Cause(ctx))
	}
}

// agentAt returns the agent for a socket. Its list may still be loading.
func (k *Keyring) agentAt(socket string) *agent {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.agents[socket]
	if a == nil {
		a = newAgent(socket, k.SignTimeout)
		k.agents[socket] = a
		if k.closed {
			a.link.close()
			a.err = errClosed
			close(a.listed)
		} else {
			k.loading.Go(func() { a.load(context.Background()) })
		}
	}
	return a
}

func (k *Keyring) read(ctx context.Context, path string) (*keyFile, error) {
	return k.files.get(ctx, path, func() (*keyFile, error) { return readKeyFile(path) })
}

func (k *Keyring) certificate(ctx context.Context, path string) (*ssh.Certificate, error) {
	return k.certs.get(ctx, path, func() (*ssh.Certificate, error) { return readCertificate(path) })
}

// open returns the private key of a file and asks for its passphrase if needed.
func (k *Keyring) open(ctx context.Context, f *keyFile) (fileSigner, error) {
	return k.opened.get(ctx, filepath.Clean(f.path), func() (fileSigner, error) {
		select {
		case k.asking <- struct{}{}:
		case <-ctx.Done():
			return fileSigner{}, fmt.Errorf("waiting for another passphrase: %w", context.Cause(ctx))
		}
		defer func() { <-k.asking }()
		k.mu.Lock()
		ask, sealed := k.Passphrase, k.sealed
		k.mu.Unlock()
		if f.encrypted && sealed && ask != nil {
			return fileSigner{}, errTooLate
		}
		return f.open(ask)
	})
}
