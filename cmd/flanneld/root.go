package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
)

// Exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2 // the command line is wrong
)

// execute runs one command line and returns the exit status. An error is one
// line on standard error.
func execute(ctx context.Context, args []string, s surroundings) int {
	ran := false // errors from before that are about the command line
	root := newRoot(s)
	root.PersistentPreRun = func(*cobra.Command, []string) { ran = true }
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return statusOK
	}
	if errors.Is(err, errNotWell) {
		return statusFailed
	}
	fmt.Fprintf(s.err, "flanneld: %s\n", oneLine(err))
	var usage *usageError
	var setting *config.Error
	if !ran || errors.As(err, &usage) || errors.As(err, &setting) {
		return statusUsage
	}
	return statusFailed
}

// oneLine keeps an error of several lines (errors.Join makes such) readable by
// scripts that take one.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

func newRoot(s surroundings) *cobra.Command {
	root := &cobra.Command{
		Use:   "flanneld",
		Short: "An overlay network for containers on many hosts",
		Long: `flanneld joins the containers of many Linux hosts into one IP network.

  host1# flanneld run --network 10.244.0.0/16     the first host founds the network
  host2# flanneld run --join host1                every other host needs one address
  any #  flanneld nodes                           who is there`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cobra.EnableCommandSorting = false // the order below is that of their use
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		runCommand(s), joinCommand(s), leaveCommand(s), forgetCommand(s),
		statusCommand(s), nodesCommand(s), routeCommand(s),
		dockerOptsCommand(s), keygenCommand(s), cleanupCommand(s), resetCommand(s), versionCommand(s),
	)
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion") // arguments: only that it is asked for
	for _, c := range root.Commands() {
		if c.HasSubCommands() {
			family(c)
		}
	}
	family(root)
	order(root)
	return root
}

// order keeps flags in the order they are written in.
func order(c *cobra.Command) {
	c.Flags().SortFlags = false
	for _, child := range c.Commands() {
		order(child)
	}
}

// family makes a command that only has commands of its own say so.
func family(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(c, args[0])
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		return usage("a command is missing: see %s --help", c.CommandPath())
	}
}

// helpCommand replaces cobra's, which takes an unknown topic for success.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				if c == nil {
					c = root
				}
				return unknownCommand(c, args[len(args)-max(1, len(rest))])
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}
