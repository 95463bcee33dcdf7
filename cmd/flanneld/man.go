// SPDX-License-Identifier: Apache-2.0

//go:build man

// With the build tag man this package is the program that writes the manual
// pages, one for each command. It knows the commands; flanneld itself need not
// carry a renderer.
//
//	go run -tags man ./cmd/flanneld DIR
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags man ./cmd/flanneld DIR")
		os.Exit(statusUsage)
	}
	if err := writeManual(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "write manual pages:", err)
		os.Exit(statusFailed)
	}
}

// writeManual writes the pages of all commands into dir. SOURCE_DATE_EPOCH
// gives their date, so that two runs write the same bytes.
func writeManual(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := newRoot(env{
		out: io.Discard, err: io.Discard,
		lookup: func(string) (string, bool) { return "", false },
	})
	root.DisableAutoGenTag = true
	// One page explains completion. Cobra has one more for each shell.
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RemoveCommand(completion.Commands()...)
		completion.Long = "Print a completion script for bash, zsh, fish or powershell. " +
			"The package and make install put those for bash, zsh and fish in place."
	}
	plainText(root)
	root.Long += overview(root)
	return doc.GenManTree(root, &doc.GenManHeader{
		Section: "8", Source: "flanneld " + version, Manual: "System Administration",
	}, dir)
}

// plainText makes the renderer, which reads Markdown, print the help texts as
// they are: characters that Markdown gives a meaning are escaped, and indented
// lines stay lines of their own.
func plainText(c *cobra.Command) {
	c.Long = markdown(c.Long)
	for _, child := range c.Commands() {
		plainText(child)
	}
}

// overview is what flanneld(8) has and the help text lacks.
func overview(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("\n\n# COMMANDS\n")
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&b, "**%s**\n\t%s\n\n", c.Name(), escapes.Replace(c.Short))
		}
	}
	for _, section := range sections {
		fmt.Fprintf(&b, "# %s\n", section.title)
		for _, entry := range section.entries {
			fmt.Fprintf(&b, "**%s**\n\t%s\n\n", entry[0], entry[1])
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

var sections = []struct {
	title   string
	entries [][2]string
}{
	{"ENVIRONMENT", [][2]string{
		{`FLANNELD\_...`, "each flag of **flanneld run** in capitals with underscores; a flag wins over its variable"},
		{`NO\_COLOR`, "if set, output has no colors"},
	}},
	{"FILES", [][2]string{
		{"/etc/default/flanneld", "settings of the systemd unit, each one explained"},
		{"/var/lib/flanneld", "identity, lease and node table of this host; must survive a reboot and must not be copied"},
		{"/run/flannel/subnet.env", "network, subnet and MTU of this host, as flannel writes them"},
		{"/run/flannel/docker", "options for dockerd"},
	}},
	{"EXIT STATUS", [][2]string{
		{"0", "success; for **run**: it was asked to stop"},
		{"1", "failure; for **status**: something is wrong; for **ping**: no answer by the path in use"},
		{"2", "the command line or a setting is wrong"},
	}},
}

var escapes = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, `<`, `\<`, `#`, `\#`, "`", "\\`")

// markdown writes a help text in Markdown.
func markdown(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") {
			b.WriteString("  ") // four columns: a block of code, which is not escaped
		} else {
			line = escapes.Replace(line)
		}
		b.WriteString(line)
	}
	return b.String()
}
