package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/report"
	"shoal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostile is a text that would do something as markup.
const hostile = "</script><script>document.documentElement.dataset.pwned=1</script><img src=x onerror=\"document.documentElement.dataset.pwned=1\">"

// A fake is a run of some targets, of which the first ones have ended.
type fake struct {
	mu      sync.Mutex
	targets int
	done    int
	changed bool
	reports int
}

func (f *fake) finish(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done, f.changed = f.done+n, true
}

func (f *fake) Changed(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := f.changed
	f.changed = false
	return changed, nil
}

func (f *fake) Runs(_ context.Context, query url.Values) (any, error) {
	if query.Get("since") == "never" {
		return nil, errors.New("\"never\" is not a time")
	}
	counts := [10]int{}
	f.mu.Lock()
	counts[0], counts[1] = f.targets-f.done, f.done
	f.mu.Unlock()
	run := map[string]any{
		"run": "1abc", "began": "2026-01-02 03:04:05", "took": "3 s", "became": hostile, "about": hostile, "command": hostile + strings.Repeat(" long", 100),
		"counts": counts, "rerun": query.Has("before"),
	}
	return map[string]any{"runs": []any{run, run}, "outcomes": []string{"ok", "failed"}, "next": "1abc"}, nil
}

func (f *fake) result(i int) fleet.Result {
	r := fleet.Result{
		Target: fleet.Target{Index: i, Host: fleet.Host{Name: fmt.Sprintf("web%03d", i)}}, End: fleet.End{Outcome: fleet.OutcomeOK}, Attempt: 1,
		Stdout: fleet.Output{Bytes: []byte(hostile), Size: int64(len(hostile))},
	}
	if i == 3 {
		r.End = fleet.Exited(fleet.PhaseDrain, 7, "", true)
	}
	return r
}

func (f *fake) position() Position { return Position{Live: f.done < f.targets, Seq: int64(f.done)} }

func (f *fake) Report(_ context.Context, run string) (*report.Report, Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports++
	c := report.NewCollector(report.Options{Header: record.Header{Run: run, Command: hostile}})
	for i := range f.targets {
		if i < f.done {
			c.Add(f.result(i))
		} else {
			c.Pending(fleet.Target{Index: i, Host: fleet.Host{Name: fmt.Sprintf("web%03d", i)}}, i == f.done)
		}
	}
	r, err := c.Report(time.Second)
	return r, f.position(), err
}

func (f *fake) Changes(_ context.Context, run string, after int64) (Changes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run != "1abc" {
		return Changes{}, ErrNotFound
	}
	c := Changes{Position: f.position()}
	for i := int(after); i < f.done; i++ {
		r := f.result(i)
		c.Rows = append(c.Rows, Row{Index: i, State: report.StateOf(r.Outcome, false), Cause: report.Cause(&r.End), Attempt: 1, Took: time.Second})
	}
	return c, nil
}

func (f *fake) Host(_ context.Context, _ string, index int) (*report.Report, error) {
	c := report.NewCollector(report.Options{})
	c.Add(f.result(index))
	return c.Report(0)
}

// start serves f until the test ends, and returns the address with the token.
func start(t *testing.T, f Source, change ...func(*Server)) (*Server, string) {
	t.Helper()
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, served := New(f), make(chan error, 1)
	for _, change := range change {
		change(s)
	}
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, s.Address(l, "/")
}

// A client is a browser without scripts, with the cookie.
type client struct {
	t    *testing.T
	http http.Client
	base string
	jar  []*http.Cookie
}

func newClient(t *testing.T, address string) *client {
	t.Helper()
	base, _, _ := strings.Cut(address, "/?")
	c := &client{t: t, base: base}
	c.http.Transport = &http.Transport{DisableKeepAlives: true}
	c.jar = c.get("GET", address[len(base):], nil).cookies
	return c
}

// A received is a response whose body is closed at the end of the test.
type received struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    io.Reader
}

func (c *client) get(method, path string, change func(*http.Request)) received {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, cookie := range c.jar {
		r.AddCookie(cookie)
	}
	if change != nil {
		change(r)
	}
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = response.Body.Close() })
	return received{response.StatusCode, response.Header, response.Cookies(), response.Body}
}

func (c *client) json(path string, v any) int {
	c.t.Helper()
	answer := c.get("GET", path, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if answer.status == http.StatusOK {
		z, err := gzip.NewReader(answer.body)
		if err == nil {
			err = json.NewDecoder(z).Decode(v)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return answer.status
}

// Only who has the token, or a page of ours the cookie that was given for it, is answered.
// faults.md: I09
func TestGuard(t *testing.T) {
	_, address := start(t, &fake{targets: 5, done: 5})
	c := newClient(t, address)
	if len(c.jar) != 1 || !c.jar[0].HttpOnly || c.jar[0].SameSite != http.SameSiteStrictMode || strings.Contains(address, c.jar[0].Value) {
		t.Fatalf("%+v", c.jar)
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	none := func(r *http.Request) { r.Header.Del("Cookie") }
	for _, c2 := range []struct {
		name, method, path string
		change             func(*http.Request)
		status             int
	}{
		{"with the cookie", "GET", "/runs", nil, 200},
		{"HEAD", "HEAD", "/runs", nil, 200},
		{"typed", "GET", "/", header("Sec-Fetch-Site", "none"), 200},
		{"our page", "GET", "/runs", header("Sec-Fetch-Site", "same-origin"), 200},
		{"without it", "GET", "/runs", none, 403},
		{"a script without it", "GET", "/run.js", none, 403},
		{"another cookie", "GET", "/runs", header("Cookie", c.jar[0].Name+"=x"), 403},
		{"another token", "GET", "/?token=x", nil, 403},
		{"a rebound name", "GET", "/runs", func(r *http.Request) { r.Host = "evil.example" + r.URL.Host[strings.LastIndexByte(r.URL.Host, ':'):] }, 421},
		{"another port of ours", "GET", "/runs", header("Sec-Fetch-Site", "same-site"), 403},
		{"another origin", "GET", "/runs", header("Origin", "http://127.0.0.1:1"), 403},
		{"POST", "POST", "/runs", nil, 405},
		{"DELETE with the token", "DELETE", "/" + address[strings.IndexByte(address, '?'):], nil, 405},
		{"nowhere", "GET", "/nowhere", nil, 404},
		{"no run", "GET", "/run/2abc/data", nil, 404},
		{"a bad filter", "GET", "/runs?since=never", nil, 500},
		{"a bad number", "GET", "/run/1abc/host?index=x", nil, 400},
	} {
		answer := c.get(c2.method, c2.path, c2.change)
		body, _ := io.ReadAll(io.LimitReader(answer.body, 1<<20))
		if answer.status != c2.status {
			t.Errorf("%s: %d: %.200s", c2.name, answer.status, body)
		}
		for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; script-src 'self'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := answer.header.Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s: %q", c2.name, name, got)
			}
		}
	}
	large := c.get("GET", "/runs", func(r *http.Request) { r.Header.Set("X-Large", strings.Repeat("x", 64<<10)) })
	if large.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %d", large.status)
	}
}

// The token leads to the address without it, and never to another host.
func TestExchange(t *testing.T) {
	_, address := start(t, &fake{})
	c := newClient(t, address)
	for path, want := range map[string]string{"/run/1abc": `content="0;url=/run/1abc"`, "//evil.example/": `content="0;url=/evil.example/"`, "/%22%3E": `content="0;url=/%22%3E"`} {
		answer := c.get("GET", path+address[strings.IndexByte(address, '?'):], nil)
		body, _ := io.ReadAll(answer.body)
		if !strings.Contains(string(body), want) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// A report is made once for all who ask, and again when something has changed.
func TestReportsAreKept(t *testing.T) {
	f := &fake{targets: 5, done: 5}
	_, address := start(t, f)
	c := newClient(t, address)
	var data struct {
		Version string `json:"version"`
		Live    bool   `json:"live"`
	}
	for range 3 {
		if status := c.json("/run/1abc/data", &data); status != http.StatusOK || data.Version != "5-false" || data.Live {
			t.Fatalf("%d, %+v", status, data)
		}
	}
	var texts [][2]any
	if status := c.json("/run/1abc/texts?v="+data.Version, &texts); status != http.StatusOK || texts[0][0] != hostile {
		t.Errorf("%d, %q", status, texts)
	}
	if status := c.json("/run/1abc/texts?v=4-true", &texts); status != http.StatusGone {
		t.Errorf("%d", status)
	}
	f.mu.Lock()
	f.targets, f.done = 6, 6 // resumed
	f.mu.Unlock()
	status := c.json("/run/1abc/data", &data)
	f.mu.Lock()
	defer f.mu.Unlock()
	if status != http.StatusOK || data.Version != "6-false" || f.reports != 2 {
		t.Errorf("%d, %+v, %d reports", status, data, f.reports)
	}
}

// The cache has a bound, and keeps what was used last.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	for i := range 5 {
		c.add(&cached{Packed: report.Packed{Texts: make([]byte, maxCached/3)}, run: fmt.Sprint(i)})
		c.find(func(e *cached) bool { return e.run == "0" })
	}
	var kept []string
	for _, e := range c.all {
		kept = append(kept, e.run)
	}
	if got := fmt.Sprint(kept); got != "[3 4 0]" {
		t.Error(got)
	}
}

// Events tell rows, however long ago the request was, and end with a reload when the run has
// ended.
func TestEvents(t *testing.T) {
	f := &fake{targets: 5, done: 2}
	_, address := start(t, f, func(s *Server) { s.readTime, s.writeTime = poll/5, poll/5 })
	c := newClient(t, address)
	lines := bufio.NewScanner(c.get("GET", "/run/1abc/events?seq=1", nil).body)
	next := func(name string) string {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == "event: "+name && lines.Scan() {
				return strings.TrimPrefix(lines.Text(), "data: ")
			}
		}
		t.Fatalf("no %s: %v", name, lines.Err())
		return ""
	}
	if got := next("rows"); got != `{"rows":[[1,1,"",0,1000000,1]],"seq":2}` {
		t.Error(got)
	}
	f.finish(2)
	if got := next("rows"); got != `{"rows":[[2,1,"",0,1000000,1],[3,2,"exit status 7",0,1000000,1]],"seq":4}` {
		t.Error(got)
	}
	f.finish(1)
	next("rows")
	next("reload")
	for lines.Scan() {
		if text := lines.Text(); text != "" && text != "data: null" {
			t.Errorf("%q after the reload", text)
		}
	}
}

// Followers and connections are bounded, and the end of the server ends the streams.
func TestBounds(t *testing.T) {
	s, address := start(t, &fake{targets: 5, done: 2})
	c := newClient(t, address)
	for range maxFollowers {
		answer := c.get("GET", "/events", nil)
		if _, err := answer.body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if answer := c.get("GET", "/events", nil); answer.status != http.StatusServiceUnavailable {
		t.Error(answer.status)
	}
	if n := s.hub.notify(false); n != maxFollowers {
		t.Errorf("%d followers", n)
	}

	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	few := newLimited(l, 1)
	for range 2 {
		conn, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	first, err := few.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		conn, err := few.Accept()
		if err == nil {
			err = conn.Close()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Errorf("a second connection: %v", err)
	default:
	}
	if err := errors.Join(first.Close(), <-second, few.Close()); err != nil {
		t.Error(err)
	}
	if _, err := few.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
