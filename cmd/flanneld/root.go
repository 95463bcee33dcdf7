// SPDX-License-Identifier: Apache-2.0

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
func execute(ctx context.Context, args []string, e env) int {
	ran := false // earlier errors are about the command line
	root := newRoot(e)
	root.PersistentPreRun = func(*cobra.Command, []string) { ran = true }
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return statusOK
	}
	if errors.Is(err, errNotWell) {
		return statusFailed
	}
	fmt.Fprintf(e.err, "flanneld: %s\n", oneLine(err))
	var usage *usageError
	var setting *config.Error
	if !ran || errors.As(err, &usage) || errors.As(err, &setting) {
		return statusUsage
	}
	return statusFailed
}

// oneLine puts an error of several lines (from errors.Join) into one, for
// scripts that read one line.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

func newRoot(e env) *cobra.Command {
	root := &cobra.Command{
		Use:   "flanneld",
		Short: "An overlay network for containers on many hosts",
		Long: `flanneld joins the containers of many Linux hosts into one IP network.

  host1# flanneld run --network 10.244.0.0/16     the first host founds the network
  host2# flanneld run --join host1                every other host needs one address
  any #  flanneld nodes                           list the nodes`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cobra.EnableCommandSorting = false // in the order of use
	root.SetOut(e.out)
	root.SetErr(e.err)
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		runCommand(e), joinCommand(e), leaveCommand(e), forgetCommand(e),
		statusCommand(e), nodesCommand(e), routeCommand(e), pingCommand(e), traceCommand(e), doctorCommand(e), eventsCommand(e), shortcutCommand(e), topCommand(e),
		dockerCommand(e), dockerOptsCommand(e), podmanCommand(e), cniCommand(e), keygenCommand(e), tokenCommand(e), cleanupCommand(e), resetCommand(e), versionCommand(e),
	)
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion") // arguments: only so that the command is known
	groups(root)
	order(root)
	return root
}

// order keeps flags in the order of their definition.
func order(c *cobra.Command) {
	c.Flags().SortFlags = false
	for _, child := range c.Commands() {
		order(child)
	}
}

// groups makes groups of all commands that have subcommands.
func groups(c *cobra.Command) {
	if !c.HasSubCommands() {
		return
	}
	if c.RunE == nil { // else it does something by itself
		group(c)
	}
	for _, child := range c.Commands() {
		groups(child)
	}
}

// group makes a command that only has subcommands ask for one.
func group(c *cobra.Command) {
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

// helpCommand replaces cobra's, which reports success for an unknown topic.
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
