package shell

import (
	"strings"

	"shoal/internal/ui"
)

// helpRows are what lines there are, and what they do.
var helpRows = [][2]string{
	{"uname -r", "a command for the selected hosts"},
	{"@web   -w 'web[1-9]'", "select the hosts of a group, or of an expression"},
	{"+web3  -web[4-6]", "add hosts, leave hosts out; :all selects all"},
	{":only failed", "those whose last command failed; also ok, unknown, unreached, differs"},
	{":hosts", "show the selected hosts"},
	{":diff   :diff web3", "the last answers again: how they differ, or differ from that host's"},
	{":view diff", "show answers so from now on; also groups (a line each), full"},
	{":mask auto", "compare answers without times, process numbers and other noise"},
	{":timeout 5s", "end later commands after this time"},
	{":chdir /srv  :env A=b", "for later commands"},
	{":become root", "run later commands as this user"},
	{":fanout 10", "at most so many hosts at once"},
	{":log FILE", "append lines and answers to a file"},
	{":settings", "show these; one without a value is taken back: :mask"},
	{":reconnect", "log in anew, with today's rights"},
	{":help  :quit", "also Ctrl-D; Tab completes, arrows find earlier lines"},
}

// helpWidth is the columns of the first column of the help.
const helpWidth = 24

// help is the help as wide as it is in the manual.
func help() string { return helpFor(0) }

// helpFor returns the help in at most so many columns; 0 means any number.
func helpFor(columns int) string {
	var b strings.Builder
	for _, row := range helpRows {
		text, what := row[0], row[1]
		switch {
		case columns == 0:
			b.WriteString("  " + text + strings.Repeat(" ", helpWidth-len(text)) + what)
		case columns < 60: // no room beside it
			b.WriteString(text + "\n  " + strings.ReplaceAll(ui.Wrap(what, columns-2), "\n", "\n  "))
		default:
			wrapped := ui.Wrap(what, columns-helpWidth-2)
			b.WriteString(text + strings.Repeat(" ", helpWidth-len(text)) + strings.ReplaceAll(wrapped, "\n", "\n"+strings.Repeat(" ", helpWidth)))
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
