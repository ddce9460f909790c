// Package manual makes pages for man(1) from the commands of a program: the texts are those of
// --help and of the help topics, so that they cannot differ.
package manual

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
)

// New returns the hidden command docs, which packages call when they are built.
func New(stdio console.Stdio) *cobra.Command {
	docs := &cobra.Command{Use: "docs", Short: "Make the manual", Hidden: true, Args: cobra.NoArgs}
	docs.AddCommand(&cobra.Command{
		Use: "man DIR", Short: "Write a page of the manual for each command into DIR", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := write(cmd.Root(), args[0])
			if err == nil {
				console.Say(stdio.Err, "%d pages are in %q", n, args[0])
			}
			return err
		},
	})
	return docs
}

// write writes the pages into a directory, which it makes, and returns their number.
func write(root *cobra.Command, dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, hint.Wrap(fmt.Errorf("making the directory for the manual: %w", err), "name another one")
	}
	var failed error
	pages := Pages(root)
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			failed = errors.Join(failed, fmt.Errorf("writing the manual: %w", err))
		}
	}
	return len(pages), failed
}

// Pages returns the pages by the names of their files.
func Pages(root *cobra.Command) map[string]string {
	pages := make(map[string]string)
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" {
			return
		}
		if cmd == root || cmd.Runnable() || cmd.HasAvailableSubCommands() {
			pages[pageName(cmd)+".1"] = page(cmd)
		}
		for _, c := range cmd.Commands() {
			add(c)
		}
	}
	add(root)
	return pages
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page returns the page of a command.
func page(cmd *cobra.Command) string {
	var r roff
	root := cmd.Root()
	version, _, _ := strings.Cut(console.VersionText(), "\n")
	r.head(pageName(cmd), "1", root.Name()+" "+version)
	r.macro("SH", "NAME")
	r.line(pageName(cmd) + " - " + cmd.Short)
	r.macro("SH", "SYNOPSIS")
	r.synopsis(cmd)
	r.macro("SH", "DESCRIPTION")
	r.text(description(cmd))
	r.commands(cmd)
	r.options(cmd)
	for _, t := range topics {
		if t.programs == nil || slices.Contains(t.programs, root.Name()) {
			r.macro("SH", t.title)
			if cmd == root {
				r.text(t.text)
			} else {
				r.text(t.short)
			}
		}
	}
	if cmd.HasExample() {
		r.macro("SH", "EXAMPLES")
		r.text(cmd.Example)
	}
	r.seeAlso(cmd)
	return r.String()
}

func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

func (r *roff) synopsis(cmd *cobra.Command) {
	if cmd.Runnable() {
		r.macro("B", cmd.UseLine())
		r.macro("br")
	}
	if cmd.HasAvailableSubCommands() {
		r.macro("B", cmd.CommandPath()+" COMMAND")
	}
}

func (r *roff) commands(cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	r.macro("SH", "COMMANDS")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			r.macro("TP")
			r.macro("BR", pageName(c), "(1)")
			r.line(c.Short)
		}
	}
}

func (r *roff) options(cmd *cobra.Command) {
	groups := flags.GroupsOf(cmd)
	titled := false
	for _, g := range groups {
		if !g.HasAvailableFlags() {
			continue
		}
		if !titled {
			r.macro("SH", "OPTIONS")
			titled = true
		}
		if len(groups) > 1 {
			r.macro("SS", g.Title())
		}
		g.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Deprecated == "" {
				r.entry(strings.TrimSpace(flags.Label(f)), f.Usage+flags.DefaultNote(f))
			}
		})
	}
}

// seeAlso names the pages above and beside a command's.
func (r *roff) seeAlso(cmd *cobra.Command) {
	var names []string
	if parent := cmd.Parent(); parent != nil {
		names = append(names, pageName(parent)+"(1)")
		for _, c := range parent.Commands() {
			if c != cmd && c.IsAvailableCommand() && parent != cmd.Root() {
				names = append(names, pageName(c)+"(1)")
			}
		}
	}
	for _, program := range []string{"shoal", "shoal-bench", "shoal-hub"} {
		if cmd.Parent() == nil && program != cmd.Name() {
			names = append(names, program+"(1)")
		}
	}
	names = append(names, "ssh(1)", "ssh_config(5)")
	r.macro("SH", "SEE ALSO")
	r.line(strings.Join(slices.Compact(names), ", "))
}
