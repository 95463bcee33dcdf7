// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a wrong command line, found by a command itself.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// unknownCommand reports an unknown command, with the nearest known one.
func unknownCommand(parent *cobra.Command, name string) error {
	var known []string
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return usage("unknown command %q%s: see %s --help", name, didYouMean(nearest(name, known)), parent.CommandPath())
}

// flagError turns an error of pflag into the program's own form.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	hint := ": see " + c.CommandPath() + " --help"
	switch {
	case errors.As(err, &unknown):
		return usage("unknown flag %s%s%s", writtenFlag(unknown), didYouMean(nearestFlag(c, unknown.GetSpecifiedName())), hint)
	case errors.As(err, &missing):
		return usage("--%s: its value is missing%s", missing.GetFlag().Name, hint)
	case errors.As(err, &invalid):
		return usage("--%s %s: %v", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	}
	return usage("%s%s", oneLine(err), hint)
}

func writtenFlag(e *pflag.NotExistError) string {
	if e.GetSpecifiedShortnames() != "" {
		return "-" + e.GetSpecifiedName()
	}
	return "--" + e.GetSpecifiedName()
}

func nearestFlag(c *cobra.Command, name string) string {
	var known []string
	c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if found := nearest(name, known); found != "" {
		return "--" + found
	}
	return ""
}

func didYouMean(found string) string {
	if found == "" {
		return ""
	}
	return " (did you mean " + found + "?)"
}

// nearest returns the known word that was most likely meant, or "" if none is
// near enough.
func nearest(word string, known []string) string {
	best, found := 3, "" // up to two wrong letters, and fewer than half
	for _, k := range known {
		d := distance(word, k)
		if len(word) >= 3 && strings.HasPrefix(k, word) {
			d = 1
		}
		if d < best && 2*d < len(k) {
			best, found = d, k
		}
	}
	return found
}

// distance counts the letters to insert, delete, replace, or swap with their
// neighbor (Damerau and Levenshtein's, restricted to one edit a place).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// exactly requires that many arguments, named as in the usage line.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage("%s: %s is missing: see %s --help", path(c), names[len(args)], c.CommandPath())
		}
		if len(args) > len(names) {
			return usage("%s: %q is one argument too many: see %s --help", path(c), args[len(names)], c.CommandPath())
		}
		return nil
	}
}

// atMost allows one argument, named as in the usage line.
func atMost(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage("%s: %q is one argument too many, %s is the only one: see %s --help", path(c), args[1], name, c.CommandPath())
		}
		return nil
	}
}

// atLeast requires one argument or more.
func atLeast(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s: %s is missing: see %s --help", path(c), name, c.CommandPath())
		}
		return nil
	}
}

// path is the command as typed, without the program, which stands in front of
// every error.
func path(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}
