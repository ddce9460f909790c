package config

import (
	"context"

	"github.com/spf13/cobra"
)

type completingKey struct{}

// Completing returns a context in which functions that complete words find the configuration.
func Completing(ctx context.Context, sources Sources, tree func() *cobra.Command) context.Context {
	return context.WithValue(ctx, completingKey{}, func() (*Config, error) { return sources.Load(tree) })
}

// completed returns the configuration for completing words of cmd; nil if there is none, or it is
// wrong: who presses Tab sees no errors.
func completed(cmd *cobra.Command) *Config {
	load, ok := cmd.Context().Value(completingKey{}).(func() (*Config, error))
	if !ok {
		return nil
	}
	c, err := load()
	if err != nil {
		return nil
	}
	return c
}

// Complete sets the flags of cmd that are configured and were not typed, as far as they can be
// set, before words of it are completed.
func Complete(cmd *cobra.Command) {
	command := ""
	if parent := cmd.Parent(); parent != nil && parent.Name() == doName {
		command = cmd.Name()
	}
	if c := completed(cmd); c != nil {
		_, _ = c.apply(cmd, command)
	}
}

// completeFleet offers the names of fleets.
func completeFleet(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if c := completed(cmd); c != nil {
		names = c.Fleets()
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
