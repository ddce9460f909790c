// Package explain implements shoal explain: what a reason means, and what to do.
package explain

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"shoal/docs"
	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// New returns shoal explain.
func New(stdio console.Stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [REASON...]",
		Short: "Tell what a reason such as hostkey_unknown means, and what to do",
		Long: `Tell what the reason of a result means, and what to do about it. Without a
reason, list all of them.`,
		Example: `  shoal explain hostkey_unknown
  shoal explain auth_failed throttled`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return docs.ReasonNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return explain(args, stdio) },
	}
}

func explain(names []string, stdio console.Stdio) error {
	if len(names) == 0 {
		_, err := fmt.Fprintln(stdio.Out, strings.Join(docs.ReasonNames(), "\n"))
		return err
	}
	columns := ui.Inspect(stdio.Out, os.Getenv).Columns()
	if columns <= 0 || columns > 100 {
		columns = 80
	}
	for i, name := range names {
		entry := docs.Reason(name)
		if entry == "" {
			return unknown(name)
		}
		if i > 0 {
			entry = "\n" + entry
		}
		if _, err := fmt.Fprintf(stdio.Out, "%s\n", ui.Wrap(name+": "+plain(entry), columns)); err != nil {
			return err
		}
	}
	return nil
}

var link = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)

// plain returns Markdown as text: lines of a paragraph joined, links as names of pages.
func plain(entry string) string {
	var paragraphs []string
	for p := range strings.SplitSeq(entry, "\n\n") {
		p = link.ReplaceAllString(strings.Join(strings.Fields(p), " "), "$1: docs/$2")
		paragraphs = append(paragraphs, strings.NewReplacer("**", "", "`", "").Replace(p))
	}
	return strings.Join(paragraphs, "\n\n")
}

func unknown(name string) error {
	best, edits := "", 4
	for _, known := range docs.ReasonNames() {
		if n := hint.Edits(name, known); n < edits {
			best, edits = known, n
		}
	}
	advice := "shoal explain lists them"
	if best != "" {
		advice = "did you mean " + best + "?"
	}
	return hint.Wrap(fmt.Errorf("there is no reason %.60q", name), advice)
}
