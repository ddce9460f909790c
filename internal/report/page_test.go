//go:build !race

package report_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/browsertest"
)

// many is the page of 10,000 hosts with different answers of 2 KB, which compress badly.
var many = sync.OnceValues(func() ([]byte, error) {
	c, random := newCollector(), rand.New(rand.NewPCG(1, 2))
	for i := range 10_000 {
		answer := make([]byte, 1530)
		for j := range answer {
			answer[j] = byte(random.Uint32())
		}
		c.Add(result(i, fleet.End{Outcome: fleet.OutcomeOK}, base64.StdEncoding.EncodeToString(answer)))
	}
	var b bytes.Buffer
	err := reportOf(c, time.Second).HTML(&b)
	return b.Bytes(), err
})

// The page of 10,000 hosts stays below 10 MB whatever they answered; what is cut for that is said.
func TestSizeOfThePage(t *testing.T) {
	page, err := many()
	if err != nil {
		t.Fatal(err)
	}
	if len(page) >= 10_000_000 {
		t.Errorf("%d bytes", len(page))
	}
	var texts [][2]any
	unpack(t, page, "texts", &texts)
	if text, left := texts[9][0].(string), texts[9][1].(float64); len(texts) != 10_000+200+1 || len(text)+int(left) != 2040 || left == 0 {
		t.Errorf("%d texts, %d bytes and %v left", len(texts), len(text), left)
	}
	var data struct{ Head [][2]string }
	unpack(t, page, "data", &data)
	if last := data.Head[len(data.Head)-1]; last[0] != "cut" || !strings.Contains(last[1], "shoal show 1abc -b") {
		t.Errorf("%q", last)
	}
}

// A browser shows the page from a file at three widths, light and dark: it is ready, a host's
// output is text in it, no script from it has run, and nothing is cut off.
func TestPageInABrowser(t *testing.T) {
	var b bytes.Buffer
	if err := few().HTML(&b); err != nil {
		t.Fatal(err)
	}
	tab := browsertest.Open(t)
	for _, dark := range []bool{false, true} {
		for _, width := range browsertest.Widths {
			tab.Size(width, dark)
			tab.LoadFile(b.Bytes(), "host=7")
			tab.Wait(`document.documentElement.dataset.ready !== undefined`)
			tab.Script(`for (const s of document.querySelectorAll('.group > summary')) s.click()`)
			tab.Wait(`document.querySelectorAll('.diff').length === 2`)
			for _, c := range [][2]string{
				{`document.documentElement.dataset.pwned`, "undefined"},
				{`document.querySelectorAll('#main img, #main script').length`, "0"},
				{`document.querySelector('#detail pre').textContent.split('<img')[0]`, "</script><script>document.documentElement.dataset.pwned=1</script>"},
				{`document.querySelectorAll('.row').length > 5`, "true"},
				{`document.querySelectorAll('.diff')[1].textContent`, "@@ -1 +1 @@\n-fine\n+bad\n"},
				{`getComputedStyle(document.documentElement).colorScheme === 'dark'`, fmt.Sprint(dark)},
				{`[...document.querySelectorAll('.chip')].map(c => c.textContent)`, "38 ok,1 failed,1 never started"},
				{`(document.querySelectorAll('.chip')[1].click(), document.title)`, "shoal run 1abc"},
			} {
				if got := tab.Text(c[0]); got != c[1] {
					t.Errorf("at %d: %s is %q, want %q", width, c[0], got, c[1])
				}
			}
			tab.Wait(`document.querySelectorAll('.row').length === 1`)
			if bad := tab.Fits(); bad != "" {
				t.Errorf("at %d: %s", width, bad)
			}
			tab.Look("report", width, dark)
		}
	}
}

// The page of 10,000 different answers of 2 KB is ready as fast as it can be measured here; the
// figure is logged, because another machine has another one. Only what is in sight has elements.
func TestLargePageInABrowser(t *testing.T) {
	large, err := many()
	if err != nil {
		t.Fatal(err)
	}
	tab := browsertest.Open(t)
	tab.Size(1280, false)
	for range 3 {
		tab.LoadFile(large, "")
		tab.Wait(`document.documentElement.dataset.ready !== undefined`)
		t.Logf("%d bytes, ready after %s ms", len(large), tab.Text(`document.documentElement.dataset.ready`))
	}
	if n := tab.Text(`document.querySelectorAll('*').length < 400`); n != "true" {
		t.Error("elements for what is not in sight")
	}
	tab.Script(`document.querySelector('.lines > summary').click()`)
	tab.Wait(`/^    1 web\d+: /.test(document.querySelector('.lines pre').textContent)`)
	tab.Script(`const f = document.querySelector('input'); f.value = 'web09999'; f.oninput()`)
	tab.Wait(`document.querySelectorAll('.row').length === 1`)
	tab.Look("report of 10000", 1280, false)
}
