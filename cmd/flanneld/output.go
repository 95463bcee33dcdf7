// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// format is the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "table|json" }

func (f *format) Set(value string) error {
	if value != string(formatTable) && value != string(formatJSON) {
		return errors.New("neither table nor json")
	}
	*f = format(value)
	return nil
}

// addFormat adds the flag -o to a command that shows something.
func addFormat(c *cobra.Command) *format {
	f := formatTable
	c.Flags().VarP(&f, "output", "o", "how to show it")
	return &f
}

// show prints a value as JSON, or as the table that draw makes from it.
func show(e env, f format, value any, draw func(*table)) error {
	if f == formatJSON {
		e := json.NewEncoder(e.out)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	t := &table{}
	draw(t)
	return t.print(e.out, e.color)
}

// table collects lines of cells. Colors are put on whole lines after they were
// aligned, because text/tabwriter would count them as letters.
type table struct {
	lines  []string
	colors []string
}

// Colors, as escape sequences of terminals.
const (
	plain  = ""
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// line adds one line. It keeps control characters in strings of other nodes out
// of the terminal.
func (t *table) line(color string, cells ...string) {
	for i, cell := range cells {
		cells[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return '?'
			}
			return r
		}, cell)
	}
	t.lines = append(t.lines, strings.Join(cells, "\t"))
	t.colors = append(t.colors, color)
}

func (t *table) linef(color, name, text string, args ...any) {
	t.line(color, name, fmt.Sprintf(text, args...))
}

func (t *table) print(out io.Writer, colors bool) error {
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, line := range t.lines {
		fmt.Fprintln(w, line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var text strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(aligned.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if colors && t.colors[i] != plain {
			line = t.colors[i] + line + reset
		}
		text.WriteString(line + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}
