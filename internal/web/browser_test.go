//go:build !race

package web

import (
	"fmt"
	"strings"
	"testing"

	"shoal/internal/browsertest"
)

// A browser shows the history and a run that goes on, at three widths, light and dark: the token
// is exchanged, texts of hosts are text, and what changes is shown without a reload.
func TestPagesInABrowser(t *testing.T) {
	tab := browsertest.Open(t)
	check := func(width int, expressions ...[2]string) {
		t.Helper()
		for _, c := range expressions {
			if got := tab.Text(c[0]); got != c[1] {
				t.Errorf("at %d: %s is %q, want %q", width, c[0], got, c[1])
			}
		}
		if bad := tab.Fits(); bad != "" {
			t.Errorf("at %d: %s", width, bad)
		}
		if pwned := tab.Text(`document.documentElement.dataset.pwned`); pwned != "undefined" {
			t.Errorf("at %d: a script of a host has run", width)
		}
	}
	look := func(name string, width int) {
		t.Helper()
		for _, dark := range []bool{true, false} {
			tab.Size(width, dark)
			tab.Look(name, width, dark)
		}
	}
	for _, width := range browsertest.Widths {
		f := &fake{targets: 200, done: 20}
		_, address := start(t, f)
		tab.Size(width, false)
		tab.Load(address)
		tab.Wait(`document.documentElement.dataset.ready !== undefined`)
		check(width, [2]string{`location.search`, ""}, [2]string{`document.querySelectorAll('.run').length`, "2"},
			[2]string{`document.querySelector('.run code').textContent.trim().split(' long')[0]`, hostile},
			[2]string{`[...document.querySelectorAll('.run')][0].querySelectorAll('.outcomes span').length`, "2"})
		look("history", width)
		f.finish(5)
		tab.Wait(`[...document.querySelectorAll('.outcomes span')].some(e => e.style.flexGrow === '25')`)
		tab.Script(`for (const b of document.querySelectorAll('.pager button')) b.click()`)
		tab.Wait(`document.querySelectorAll('.run.rerun').length === 2`)
		check(width, [2]string{`location.search`, "?before=1abc"})

		tab.Script(`document.querySelector('.run').click()`)
		tab.Wait(`location.pathname === '/run/1abc' && document.documentElement.dataset.ready !== undefined`)
		chips := `[...document.querySelectorAll('.chip')].map(c => c.textContent).join()`
		check(width, [2]string{chips, "174 waiting,24 ok,1 failed,1 running"})
		f.finish(75)
		tab.Wait(chips + ` === '100 waiting,99 ok,1 failed'`) // the row of 025 is replaced
		tab.Script(`const find = document.querySelector('.find input'); find.value = 'web09'; find.oninput()`)
		tab.Wait(`document.querySelectorAll('.row').length === 10`)
		tab.Script(`document.querySelectorAll('.row')[1].click()`)
		tab.Wait(`document.querySelector('#detail pre')`)
		check(width, [2]string{`document.querySelector('#detail pre').textContent`, hostile}, [2]string{`document.querySelector('[role=status]').hidden`, "false"})
		look("run", width)
		f.finish(100)
		tab.Wait(chips + ` === '199 ok,1 failed' && document.querySelector('[role=status]').hidden`)
		check(width, [2]string{`document.querySelectorAll('.group').length`, "2"}, [2]string{`document.querySelectorAll('.row').length`, "10"},
			[2]string{`document.querySelector('.group summary').textContent.split(':')[0]`, "199 ok, the reference"})
	}
	if text := fmt.Sprint(tab.Expect()); strings.Contains(text, "Content Security Policy") || strings.Contains(text, "TrustedHTML") {
		t.Error(text)
	}
}
