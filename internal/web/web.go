// Package web serves the history of runs, runs that go on, and their reports to a browser on
// this machine. It changes nothing.
//
//	browser ─▸ limits ─▸ guard (Host, method, origin, token) ─▸ pages, JSON, server-sent events ─▸ Source
//
// Who has the token may read everything that a [Source] tells, so it is asked for wherever a
// request comes from: other users of this machine, and pages of other sites in the same
// browser, can reach a loopback address too. The token is in the address that is printed, and is
// exchanged for a cookie, so that it stays in no history of a browser and no Referer.
//
// Texts of hosts are JSON strings, and become text nodes in the browser.
package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"shoal/internal/report"
)

// A Source tells what is shown. It must be safe for concurrent use.
type Source interface {
	// Runs returns a page of the history, as the query of its address asks for it: anything
	// that encoding/json can write as history.js reads it.
	Runs(ctx context.Context, query url.Values) (any, error)
	// Report returns the report of a run and how far it has come. A target without a result is
	// pending in it.
	Report(ctx context.Context, run string) (*report.Report, Position, error)
	// Changes returns what has changed in a run after the event with this number.
	Changes(ctx context.Context, run string, after int64) (Changes, error)
	// Host returns a report with one target of a run, if it has a result.
	Host(ctx context.Context, run string, index int) (*report.Report, error)
	// Changed reports whether anything may have changed since the last call. Calls come one at
	// a time, often, and must be cheap.
	Changed(ctx context.Context) (bool, error)
}

// ErrNotFound is the error of a Source that does not have a run or target.
var ErrNotFound = errors.New("there is no such run")

// A Position is how far a run has come.
type Position struct {
	Live bool  // it goes on
	Seq  int64 // the number of its last event
}

// Changes are the targets of a run in which something has changed.
type Changes struct {
	Position
	Rows []Row
	// Watch is what there is to tell of a watch if something has changed; nil for any other run.
	Watch *report.Watch
}

// A Row is a target as it is now.
type Row struct {
	Index       int
	State       int64 // report.StateOf
	Cause       string
	Start, Took time.Duration
	Attempt     int
}

const (
	// poll is the time between two calls of Source.Changed while somebody follows.
	poll = 500 * time.Millisecond
	// maxConnections is the number of connections that are open at a time; more wait.
	maxConnections = 64
	// maxFollowers is the number of them that wait for events.
	maxFollowers = 24
	// drainTime is how long requests may take to end when the server ends.
	drainTime = 2 * time.Second
)

// A Server serves a Source. Make it with New.
type Server struct {
	source  Source
	token   string // in the address that is printed
	session string // in the cookie
	hosts   map[string]bool
	cookie  string // the name
	cache   cache
	hub     hub

	// readTime is how long a request may take to be read, and writeTime an answer, or one event,
	// to be written.
	readTime, writeTime time.Duration
}

// New returns a Server with secrets of its own.
func New(s Source) *Server {
	return &Server{
		source: s, token: rand.Text() + rand.Text(), session: rand.Text() + rand.Text(), hub: hub{waiting: make(map[chan struct{}]struct{})},
		readTime: 10 * time.Second, writeTime: time.Minute,
	}
}

// Listen listens on a port of 127.0.0.1; 0 is any free one.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the address
	}
	return l, nil
}

// Address returns the address of a path, with the token.
func (s *Server) Address(l net.Listener, path string) string {
	return (&url.URL{Scheme: "http", Host: l.Addr().String(), Path: path, RawQuery: "token=" + s.token}).String()
}

// Serve serves until ctx ends, and closes l. The error is nil then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	port := l.Addr().(*net.TCPAddr).Port
	s.cookie = fmt.Sprintf("shoal-%d", port) // cookies know no ports
	s.hosts = map[string]bool{}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		s.hosts[fmt.Sprintf("%s:%d", name, port)] = true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler:     s.handler(),
		ReadTimeout: s.readTime, WriteTimeout: s.writeTime, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that break the protocol
	}
	var background sync.WaitGroup
	background.Go(func() { s.hub.run(ctx, s.source) })
	failed := make(chan error, 1) // sent once, by the goroutine below
	background.Go(func() { failed <- server.Serve(newLimited(l, maxConnections)) })
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		cancel() // ends the event streams and what reads for others
		drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		if server.Shutdown(drain) != nil {
			_ = server.Close()
		}
		stop()
	}
	cancel()
	background.Wait()
	if err != nil {
		return fmt.Errorf("serving %s: %w", l.Addr(), err)
	}
	return nil
}

// limited accepts a connection when fewer than its capacity are open.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimited(l net.Listener, n int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err //nolint:wrapcheck // http.Server looks at it
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close() //nolint:wrapcheck // http.Server looks at it
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close() //nolint:wrapcheck // http.Server looks at it
}
