// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
)

// version is set by the linker (-X main.version=...).
var version = "dev"

// env is what a command reads and writes beside its arguments, so that tests
// can run commands in their own process.
type env struct {
	in       io.Reader
	out, err io.Writer
	lookup   func(variable string) (string, bool)
	environ  []string
	color    bool // out is a terminal that shows colors
}

// isTerminal reports whether colors make sense on f. Setting NO_COLOR turns
// them off (no-color.org).
func isTerminal(f *os.File) bool {
	if _, off := os.LookupEnv("NO_COLOR"); off || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
