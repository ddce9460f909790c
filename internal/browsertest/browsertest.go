// Package browsertest drives a headless Chromium in tests of pages: at the widths of a phone, a
// tablet and a screen, light and dark.
package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"shoal/internal/needs"
)

// Widths are those at which pages are looked at, in CSS pixels.
var Widths = []int{390, 768, 1280}

// pictures is a variable with a directory to which Look writes pictures, for a person.
const pictures = "SHOAL_PAGE_PICTURES"

// A Tab is a page in a browser.
type Tab struct {
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	said []string // errors, of the console, of scripts and of policies
}

// Open starts a browser with one tab, and ends it with the test. A page that reports an error,
// and so a violation of its policy too, fails the test, unless Expect takes it.
func Open(t *testing.T) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(needs.Program(t, "chromium")), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	tab := &Tab{t: t}
	ctx, quit := chromedp.NewContext(ctx, chromedp.WithListener(tab.listen))
	tab.ctx = ctx
	t.Cleanup(func() {
		quit()
		stop()
		cancel()
		tab.mu.Lock()
		defer tab.mu.Unlock()
		for _, text := range tab.said {
			t.Errorf("the page says: %s", text)
		}
	})
	tab.Do(chromedp.Steps()) // starts the browser
	tab.must(chromedp.Call(ctx, log.Enable, cdp.Empty{}))
	return tab
}

func (tab *Tab) must(_ cdp.Empty, err error) {
	tab.t.Helper()
	if err != nil {
		tab.t.Fatal(err)
	}
}

func (tab *Tab) listen(event any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tab.said = append(tab.said, exception(e))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			tab.said = append(tab.said, e.Entry.Text)
		}
	}
}

func exception(e *runtime.EventExceptionThrown) string {
	text := e.ExceptionDetails.Text
	if of := e.ExceptionDetails.Exception; of != nil {
		text += " " + of.Description
	}
	return text
}

// Expect returns the errors that the page has reported, and forgets them.
func (tab *Tab) Expect() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	said := tab.said
	tab.said = nil
	return said
}

// Do does actions, which must not fail.
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, actions...); err != nil {
		tab.t.Fatal(err)
	}
}

// Size gives the tab a width in CSS pixels, and a colour scheme.
func (tab *Tab) Size(width int, dark bool) {
	tab.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	tab.Do(chromedp.EmulateViewport(int64(width), 1000))
	tab.must(chromedp.Call(tab.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}, //nolint:misspell // the name is CSS's
	}))
}

// Load loads a page.
func (tab *Tab) Load(address string) {
	tab.t.Helper()
	tab.Do(chromedp.Navigate(address))
}

// LoadFile loads a page from a file.
func (tab *Tab) LoadFile(page []byte, fragment string) {
	tab.t.Helper()
	path := filepath.Join(tab.t.TempDir(), "page.html")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		tab.t.Fatal(err)
	}
	tab.Load((&url.URL{Scheme: "file", Path: path, Fragment: fragment}).String())
}

// Wait waits until a JavaScript expression is true, also while another page is loaded.
func (tab *Tab) Wait(expression string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if done {
			return
		}
		select {
		case <-ticker.C: // an error may be that of a page that is left
		case <-ctx.Done():
			tab.t.Fatalf("it does not become true: %s: %v; the page: %.2000s", expression, err, tab.Text("document.body.innerText"))
		}
	}
}

// Script runs JavaScript statements.
func (tab *Tab) Script(statements string) {
	tab.t.Helper()
	tab.Do(chromedp.Evaluate[chromedp.Void]("(() => {" + statements + "})()"))
}

// Text returns the value of a JavaScript expression as a string.
func (tab *Tab) Text(expression string) string {
	tab.t.Helper()
	text, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		tab.t.Fatal(err)
	}
	return text
}

// Fits reports what is cut off or beyond the width of the page: an element that is wider than the
// window and not within one that scrolls, or a text in a picture beyond its frame.
func (tab *Tab) Fits() string {
	tab.t.Helper()
	return tab.Text(`(() => {
		const wide = innerWidth + 1, bad = [];
		if (document.documentElement.scrollWidth > wide) bad.push('the page is ' + document.documentElement.scrollWidth + ' wide');
		const scrolls = e => { for (; e; e = e.parentElement) if (['auto', 'scroll'].includes(getComputedStyle(e).overflowX)) return true; };
		for (const e of document.body.querySelectorAll('*')) {
			const box = e.getBoundingClientRect();
			if (box.width && (box.right > wide || box.left < -1) && !scrolls(e)) bad.push(e.tagName + ' ' + e.className + ' to ' + Math.round(box.right));
		}
		for (const text of document.querySelectorAll('svg text')) {
			const frame = text.ownerSVGElement.parentElement, box = text.getBoundingClientRect(), outer = frame.getBoundingClientRect();
			const left = outer.left - frame.scrollLeft, right = left + frame.scrollWidth;
			if (box.left < left - 1 || box.right > right + 1) bad.push('the label ' + text.textContent);
		}
		return bad.slice(0, 5).join('; ');
	})()`)
}

// Look writes a picture of the page for a person, if one is wanted: SHOAL_PAGE_PICTURES=DIR.
func (tab *Tab) Look(name string, width int, dark bool) {
	tab.t.Helper()
	dir := os.Getenv(pictures)
	if dir == "" {
		return
	}
	if dark {
		name += "-dark"
	}
	picture, err := chromedp.Run(tab.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", strings.ReplaceAll(name, " ", "-"), width)), picture, 0o644); err != nil {
		tab.t.Fatal(err)
	}
}
