//go:build !race

package report_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/needs"
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
	err := c.Report(time.Second).HTML(&b)
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
	if text, left := texts[9][0].(string), texts[9][1].(float64); len(texts) != 10_000 || len(text)+int(left) != 2040 || left == 0 {
		t.Errorf("%d texts, %d bytes and %v left", len(texts), len(text), left)
	}
	var data struct{ Head [][2]string }
	unpack(t, page, "data", &data)
	if last := data.Head[len(data.Head)-1]; last[0] != "cut" || !strings.Contains(last[1], "shoal show 1abc -b") {
		t.Errorf("%q", last)
	}
}

// A browser shows the page from a file at three widths: it is ready, a host's output is text in
// it, and no script from it has run.
func TestPageInABrowser(t *testing.T) {
	chromium := needs.Program(t, "chromium")
	dir := t.TempDir()
	var b bytes.Buffer
	if err := few().HTML(&b); err != nil {
		t.Fatal(err)
	}
	large, err := many()
	if err != nil {
		t.Fatal(err)
	}
	pictures := os.Getenv("SHOAL_REPORT_PICTURES") // a directory, to look at the page
	for name, page := range map[string][]byte{"few": b.Bytes(), "many": large} {
		path := filepath.Join(dir, name+".html")
		if err := os.WriteFile(path, page, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{390, 1280, 1920} {
			if name == "many" && width != 1280 {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			args := []string{
				"--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + filepath.Join(dir, "profile"), "--virtual-time-budget=20000",
				fmt.Sprintf("--window-size=%d,1400", width),
			}
			dom, err := exec.CommandContext(ctx, chromium, append(args, "--dump-dom", "file://"+path+"#host=7")...).Output()
			if err != nil {
				cancel()
				t.Fatal(err)
			}
			text := string(dom)
			root, _, _ := strings.Cut(text, "<head>")
			if !strings.Contains(root, "data-ready=") || strings.Contains(root, "pwned") {
				t.Errorf("%s at %d: %q", name, width, root)
			}
			if name == "few" && (!strings.Contains(text, "&lt;img src=x onerror=") || strings.Contains(text, "<img")) {
				t.Errorf("%s at %d: the output of a host is not text", name, width)
			}
			if n := strings.Count(text, `class="row`); n == 0 || n > 60 {
				t.Errorf("%s at %d: %d rows", name, width, n)
			}
			if pictures != "" {
				shot := "--screenshot=" + filepath.Join(pictures, fmt.Sprintf("%s-%d.png", name, width))
				if out, err := exec.CommandContext(ctx, chromium, append(args, shot, "file://"+path+"#host=7")...).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
			cancel()
		}
	}
}
