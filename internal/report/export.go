package report

import (
	"encoding/csv"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"shoal/fleet"
	"shoal/internal/ui"
)

// CSV writes a row for each host (RFC 4180), below the names of the columns. group is the number
// of the group of equal results, from 1, the largest first. A cell that a spreadsheet would take
// for a formula begins with an apostrophe.
func (r *Report) CSV(w io.Writer) error {
	group := make([]int, len(r.Hosts))
	for i, g := range r.Groups {
		for _, at := range g.Hosts {
			group[at] = i + 1
		}
	}
	out := csv.NewWriter(w)
	rows := [][]string{{"index", "host", "outcome", "cause", "attempt", "start_ms", "took_ms", "group", "error", "output", "output_left_out"}}
	for i, h := range r.Hosts {
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		row := []string{number(int64(h.Index)), cell(ui.Visible(h.Name)), h.Outcome.String(), cell(h.Cause), number(int64(h.Attempt)), "", "", number(int64(group[i])), "", "", "0"}
		if h.Attempt > 0 {
			row[5], row[6] = milliseconds(h.Start), milliseconds(h.Took)
		}
		if h.Error >= 0 {
			row[8] = cell(r.Texts[h.Error].Text)
		}
		if h.Text >= 0 {
			row[9], row[10] = cell(r.Texts[h.Text].Text), number(r.Texts[h.Text].Left)
		}
		rows = append(rows, row)
	}
	return out.WriteAll(rows) //nolint:wrapcheck // the caller knows what it writes to
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 3, 64)
}

// formula are the characters with which a formula begins, some of them only for spreadsheets in
// Japanese or Chinese, and those that a spreadsheet may leave out before one.
const formula = "=+-@\t\r\n＝＋－＠"

// cell returns text as a cell that no spreadsheet takes for a formula.
func cell(text string) string {
	if first, _ := utf8.DecodeRuneInString(text); text != "" && strings.ContainsRune(formula, first) {
		return "'" + text
	}
	return text
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitResult `xml:"failure"`
	Error   *junitResult `xml:"error"`
	Skipped *junitResult `xml:"skipped"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML, which CI servers show: each host is a test. A command
// that failed is a failure; one that did not run, or of which the end is not known, an error;
// and a host whose turn did not come, or whose command runs on without us, is skipped.
func (r *Report) JUnit(w io.Writer) error {
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	s := junitSuite{
		Name: "shoal run " + ui.Visible(r.Header.Run), Tests: len(r.Hosts),
		Time: seconds(r.Summary.Elapsed), Stamp: r.Header.Started.UTC().Format("2006-01-02T15:04:05"),
	}
	class := ui.Truncate(ui.Visible(r.Header.Command), 200)
	for _, h := range r.Hosts {
		c := junitCase{Name: ui.Visible(h.Name), Class: class, Time: seconds(h.Took)}
		result := &junitResult{Message: strings.ReplaceAll(h.Outcome.String(), "_", " ")}
		if h.Cause != "" {
			result.Message += ": " + h.Cause
		}
		if h.Error >= 0 {
			result.Text = r.Texts[h.Error].Text
		}
		if h.Text >= 0 {
			t := r.Texts[h.Text]
			if c.Out = t.Text; t.Left > 0 {
				c.Out += "\n… " + ui.Count(t.Left) + " bytes more: " + r.more()
			}
		}
		switch h.Outcome {
		case fleet.OutcomeOK:
		case fleet.OutcomeFailed, fleet.OutcomeSignalled:
			c.Failure = result
			s.Failures++
		case fleet.OutcomeCancelled, fleet.OutcomeDetached, fleet.OutcomeNone:
			c.Skipped = result
			s.Skipped++
		default:
			c.Error = result
			s.Errors++
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err //nolint:wrapcheck // the caller knows what it writes to
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(s); err != nil {
		return err //nolint:wrapcheck // the caller knows what it writes to
	}
	_, err := io.WriteString(w, "\n")
	return err //nolint:wrapcheck // the caller knows what it writes to
}
