package chart

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"regexp"
	"strings"
	"testing"

	"shoal/internal/bench/report"
	"shoal/internal/bench/report/reporttest"
)

func pageOf(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, r, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageHasEverything(t *testing.T) {
	r := reportOf(t, reporttest.Default(10, 50, 100, 200))
	page := pageOf(t, r)
	for _, k := range Kinds() {
		p := drawn(t, r, k, Options{})
		for _, at := range p.Points {
			if !strings.Contains(page, `aria-label="`+html.EscapeString(at.Text)+`"`) {
				t.Errorf("%s: there is no point %q", k, at.Text)
			}
		}
	}
	for _, table := range r.Tables() {
		for _, row := range table.Rows {
			for _, cell := range row {
				if !strings.Contains(page, ">"+html.EscapeString(cell)+"</t") {
					t.Errorf("%q lacks the cell %q", table.Name, cell)
				}
			}
		}
	}
	for _, want := range []string{">projected</text>", "Example CPU 3000", "0123abcd", "go1.26.8", "6ms in each direction"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template engine refused a value")
	}
}

func TestPageFetchesNothing(t *testing.T) {
	page := pageOf(t, reportOf(t, reporttest.Default(10, 50)))
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil {
		t.Fatal("there is no policy")
	}
	script := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindStringSubmatch(page)
	if script == nil || strings.Count(page, "<script") != 1 {
		t.Fatal("there is not exactly one script")
	}
	hash := sha256.Sum256([]byte(script[1]))
	want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
	got := html.UnescapeString(policy[1])
	if !strings.HasPrefix(got, "default-src 'none';") || !strings.HasSuffix(got, want) {
		t.Errorf("the policy is %q, want default-src 'none' and %q", got, want)
	}
	for _, external := range []string{"http:", "https:", "//www", " src=", "href=", "@import", "url("} {
		if strings.Contains(page, external) {
			t.Errorf("the page has %q", external)
		}
	}
}

func TestPageFollowsTheTheme(t *testing.T) {
	page := pageOf(t, reportOf(t, reporttest.Default(10, 50)))
	if left := regexp.MustCompile(`style="[^"]*#[0-9A-Fa-f]{6}[^"]*"`).FindString(page); left != "" {
		t.Errorf("a colour has no name: %s", left)
	}
	for _, want := range []string{"fill:var(--ground)", "stroke:var(--series0)", "--ground:#ffffff", "--ground:#14181d", "prefers-color-scheme:dark"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func TestPageEscapes(t *testing.T) {
	e := reporttest.Default(10, 50)
	const evil = `</text></svg><script>alert(1)</script>" style="#FFFFFF`
	e.Header.Settings.Command, e.Lines[3].Strategy = evil, evil
	e.Header.Machine.CPU = evil
	page := pageOf(t, reportOf(t, e))
	if strings.Contains(page, "<script>alert") || strings.Count(page, "<script") != 1 || strings.Count(page, "</svg>") != 4 {
		t.Error("a record's text became markup")
	}
	if !strings.Contains(page, html.EscapeString(evil)) {
		t.Error("a record's text was changed")
	}
}
