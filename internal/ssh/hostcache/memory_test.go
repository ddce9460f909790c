package hostcache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const day0 = 20_000

// on returns options whose clock is fixed on a day.
func on(day int) Options {
	return Options{Now: func() time.Time { return time.Unix(int64(day)*24*60*60+1, 0) }}
}

func mustOpen(t testing.TB, dir string, o Options) *Cache {
	t.Helper()
	m, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustClose(t testing.TB, m *Cache) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// remember writes an entry for each endpoint to the file.
func remember(t testing.TB, dir string, o Options, e Entry, endpoints ...string) {
	t.Helper()
	m := mustOpen(t, dir, o)
	for _, endpoint := range endpoints {
		m.Put(endpoint, e)
	}
	mustClose(t, m)
}

func wantEntry(t testing.TB, m *Cache, endpoint string, want Entry) {
	t.Helper()
	got, ok := m.Get(endpoint)
	if !ok {
		t.Errorf("%s is not known", endpoint)
	} else if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", endpoint, diff)
	}
}

func wantUnknown(t testing.TB, m *Cache, endpoint string) {
	t.Helper()
	if e, ok := m.Get(endpoint); ok {
		t.Errorf("%s is known as %+v", endpoint, e)
	}
}

func content(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "recall"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var sample = Entry{
	Identification: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10",
	Kex:            []string{"mlkem768x25519-sha256", "curve25519-sha256"},
	HostKeys:       []string{"ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"},
	Key:            "SHA256:uNiVztksCsDhcc0u9e8BrLtmjcCwMw8ywnyRzpJaBzA",
	User:           "deploy",
	Client:         "sshwire",
	Marks:          []string{"step-by-step"},
}

func (e Entry) seen(day int) Entry {
	e.Day = day
	return e
}

func TestWhatIsPutIsThereInTheNextRun(t *testing.T) {
	t.Parallel()
	hostile := Entry{Identification: "SSH-2.0-\t\x1b[31m\xff\x00 \"\\x\" é\n", User: "a\tb\nc,"}
	entries := map[string]Entry{
		"web1:22":              sample,
		"web2:22":              {},
		"[fe80::1%eth0]:2222":  hostile,
		"bücher.example:65535": {Marks: []string{"a", "b"}, Client: "x/crypto"},
	}
	dir := filepath.Join(t.TempDir(), "state", "shoal")
	m := mustOpen(t, dir, on(day0))
	for endpoint, e := range entries {
		m.Put(endpoint, e.seen(7))
		wantEntry(t, m, endpoint, e.seen(day0))
	}
	mustClose(t, m)
	again := mustOpen(t, dir, on(day0+3))
	for endpoint, e := range entries {
		wantEntry(t, again, endpoint, e.seen(day0))
	}
	wantUnknown(t, again, "web3:22")
}

func TestTheLastPutCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "web1:22", "web2:22")
	other := Entry{Identification: "SSH-2.0-dropbear_2022.83"}
	remember(t, dir, on(day0+1), other, "web1:22")
	m := mustOpen(t, dir, on(day0+2))
	wantEntry(t, m, "web1:22", other.seen(day0+1))
	wantEntry(t, m, "web2:22", sample.seen(day0))
}

func TestPutDoesNotKeepItsCallersLists(t *testing.T) {
	t.Parallel()
	m := mustOpen(t, t.TempDir(), on(day0))
	kex := []string{"one", "two"}
	m.Put("web1:22", Entry{Kex: kex})
	kex[0] = "changed"
	wantEntry(t, m, "web1:22", Entry{Kex: []string{"one", "two"}, Day: day0})
}

func TestWhatExceedsTheLimitsIsNotRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := mustOpen(t, dir, on(day0))
	m.Put("web1:22", sample)
	long := strings.Repeat("x", 257)
	for _, e := range []Entry{
		{Identification: long[:256]},
		{User: long},
		{Key: long[:65]},
		{Client: "two words"},
		{Kex: []string{"a,b"}},
		{HostKeys: []string{""}},
		{Marks: make([]string, 33)},
		{Marks: []string{"tab\t"}},
	} {
		m.Put("web1:22", e)
	}
	for _, endpoint := range []string{"", "two words:22", "tab\t:22", "line\n:22", strings.Repeat("h", 321)} {
		m.Put(endpoint, sample)
		wantUnknown(t, m, endpoint)
	}
	mustClose(t, m)
	wantEntry(t, m, "web1:22", sample.seen(day0))
	if n := strings.Count(content(t, dir), "\n"); n != 2 {
		t.Errorf("the file has %d lines, want 2", n)
	}
}

func TestANilMemoryForgets(t *testing.T) {
	t.Parallel()
	var m *Cache
	m.Put("web1:22", sample)
	wantUnknown(t, m, "web1:22")
	mustClose(t, m)
}

func TestWhatHasNotChangedIsNotWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "web1:22", "web2:22")
	before := content(t, dir)
	remember(t, dir, on(day0+6), sample, "web1:22")
	if got := content(t, dir); got != before {
		t.Errorf("six days later the file is\n%s\nwant\n%s", got, before)
	}
	remember(t, dir, on(day0+7), sample, "web1:22")
	if got, found := strings.CutPrefix(content(t, dir), before); !found || strings.Count(got, "\n") != 1 {
		t.Errorf("seven days later this was added, want one line: %q", got)
	}
	wantEntry(t, mustOpen(t, dir, on(day0+8)), "web1:22", sample.seen(day0+7))
}

func TestNothingLearnedLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	remember(t, dir, on(day0), sample)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there (%v)", err)
	}
}

func TestCloseMayBeRepeated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := mustOpen(t, dir, on(day0))
	m.Put("web1:22", sample)
	mustClose(t, m)
	before := content(t, dir)
	mustClose(t, m)
	if got := content(t, dir); got != before {
		t.Errorf("the second Close left\n%s\nwant\n%s", got, before)
	}
	m.Put("web2:22", sample)
	mustClose(t, m)
	wantEntry(t, mustOpen(t, dir, on(day0)), "web2:22", sample.seen(day0))
}

func TestADayToComeCountsAsToday(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0+1000), sample, "web1:22")
	wantEntry(t, mustOpen(t, dir, on(day0)), "web1:22", sample.seen(day0))
}

func TestNegativeBoundsAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{MaxHosts: -1}, {MaxBytes: -1}, {Wait: -1}} {
		if m, err := Open(t.TempDir(), o); err == nil || m != nil {
			t.Errorf("%+v: %v, %v", o, m, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 200
	dir := t.TempDir()
	m := mustOpen(t, dir, on(day0))
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				endpoint := fmt.Sprintf("h%d:22", w*each+i)
				m.Put(endpoint, sample)
				wantEntry(t, m, endpoint, sample.seen(day0))
				if i%50 == 0 {
					if err := m.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	mustClose(t, m)
	again := mustOpen(t, dir, on(day0))
	for i := range workers * each {
		wantEntry(t, again, fmt.Sprintf("h%d:22", i), sample.seen(day0))
	}
	if n := len(again.table.profiles); n != 1 {
		t.Errorf("%d profiles are held, want 1", n)
	}
}
