//go:build !race

package chart

import (
	"fmt"
	"testing"

	"shoal/internal/bench/report/reporttest"
	"shoal/internal/browsertest"
)

// Nothing of the page is cut off at three widths, and labels have the same place, whatever fonts
// the reader has.
func TestPageInABrowser(t *testing.T) {
	page := []byte(pageOf(t, reportOf(t, reporttest.Default(10, 50, 100, 200))))
	tab := browsertest.Open(t)
	for _, width := range browsertest.Widths {
		tab.Size(width, false)
		tab.LoadFile(page, "")
		for _, font := range []string{"sans-serif", "monospace"} {
			tab.Script(fmt.Sprintf(`for (const e of document.querySelectorAll('body, text')) e.style.fontFamily = %q`, font))
			if bad := tab.Fits(); bad != "" {
				t.Errorf("at %d, %s: %s", width, font, bad)
			}
			if bad := tab.Text(wider); bad != "" {
				t.Errorf("at %d, %s: %s", width, font, bad)
			}
			tab.Look("bench "+font, width, false)
			tab.Size(width, true)
			tab.Look("bench "+font, width, true)
			tab.Size(width, false)
		}
	}
}

// wider returns the texts of pictures that are wider or narrower than when it was first called.
const wider = `(() => {
	const widths = [...document.querySelectorAll('svg text')].map(t => [t.textContent, t.getBBox().width]);
	const first = window.first ||= widths;
	return widths.filter(([, width], i) => Math.abs(width - first[i][1]) > 1).slice(0, 5).join('; ');
})()`
