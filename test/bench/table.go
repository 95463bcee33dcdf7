// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// text is the report for people: Markdown that reads well as it is.
func (r *Report) text() string {
	var b strings.Builder
	for i, c := range r.Comparisons {
		if i > 0 {
			fmt.Fprintf(&b, "\nWith %s:\n\n", c.Title)
		}
		b.WriteString(c.table())
		if ratios := c.encryption(); ratios != "" {
			b.WriteString("\n" + ratios)
		}
	}
	b.WriteString("\n" + r.legend())
	return b.String()
}

// table has a row for each metric and a column for each path that was
// measured; below it stands what was not, and why.
func (c Comparison) table() string {
	if c.Reason != "" {
		return fmt.Sprintf("not measured: %s\n", c.Reason)
	}
	shown := c.measured()
	rows := [][]string{{""}}
	for _, p := range shown {
		rows[0] = append(rows[0], p.Title)
	}
	for _, m := range metricsOf(c.Keys) {
		row := []string{m.title}
		for _, p := range shown {
			row = append(row, m.cell(p.Results[m.key]))
		}
		rows = append(rows, row)
	}
	return grid(rows) + c.remarks()
}

// measured are the paths that could be set up.
func (c Comparison) measured() (paths []Path) {
	for _, p := range c.Paths {
		if p.Reason == "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// cell is "median (least-most) ratio".
func (m metric) cell(r Result) string {
	if len(r.Rounds) == 0 {
		return "-"
	}
	text := m.value(r.Median)
	if len(r.Rounds) > 1 {
		text += fmt.Sprintf(" (%s-%s)", m.value(r.Least), m.value(r.Most))
	}
	if r.OfVXLAN != 0 && !m.share {
		text += fmt.Sprintf(" %.2fx", r.OfVXLAN)
	}
	return text
}

// value is a figure as the table shows it.
func (m metric) value(v float64) string {
	if m.scale != 0 {
		v /= m.scale
	}
	return fmt.Sprintf(m.format, v)
}

// remarks names what was not measured.
func (c Comparison) remarks() string {
	var b strings.Builder
	for _, p := range c.Paths {
		if p.Reason != "" {
			fmt.Fprintf(&b, "\n%s: not measured: %s\n", p.Title, p.Reason)
		}
		for _, f := range p.Failures {
			fmt.Fprintf(&b, "\n%s: %s failed in round %d: %s\n", p.Title, f.Measure, f.Round, f.Error)
		}
	}
	return b.String()
}

// legend explains the tables.
func (r *Report) legend() string {
	return fmt.Sprintf(`Medians of %s, in brackets the least and the most; "0.50x" is the ratio to kernel VXLAN in the same run.
%d processors%s, Linux %s, %s%s, %s, %g s a stream.
`, counted(r.Rounds, "round"), r.Machine.Processors, r.apart(), r.Machine.Kernel, r.Machine.Go, r.Machine.iperf(), r.Comparisons[0].congestion(), r.Seconds)
}

// apart is what to say of the distance between the processors.
func (r *Report) apart() string {
	least, most := r.exchanges()
	if most == 0 {
		return ""
	}
	return fmt.Sprintf(", an exchange between them %.0f to %.0f ns", least, most)
}

// iperf is what to say of the iperf3 that was there.
func (m Machine) iperf() string {
	if m.Iperf == "" {
		return ""
	}
	return ", iperf3 " + m.Iperf
}

// congestion is the congestion control that the paths have in common.
func (c Comparison) congestion() string {
	if len(c.Paths) == 0 {
		return "no path"
	}
	return c.Paths[0].Setting.Congestion
}

// grid lays out a Markdown table, its first row the heading.
func grid(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	for i, row := range rows {
		writeRow(&b, row, widths)
		if i == 0 {
			writeRule(&b, widths)
		}
	}
	return b.String()
}

// writeRow aligns the first cell to the left and the others to the right.
func writeRow(b *strings.Builder, row []string, widths []int) {
	for i, cell := range row {
		if i == 0 {
			fmt.Fprintf(b, "| %-*s |", widths[i], cell)
		} else {
			fmt.Fprintf(b, " %*s |", widths[i], cell)
		}
	}
	b.WriteByte('\n')
}

func writeRule(b *strings.Builder, widths []int) {
	for i, width := range widths {
		if i == 0 {
			fmt.Fprintf(b, "|-%s-|", strings.Repeat("-", width))
		} else {
			fmt.Fprintf(b, "-%s:|", strings.Repeat("-", width))
		}
	}
	b.WriteByte('\n')
}

// metricsOf finds the metrics of the keys, in the table's order.
func metricsOf(keys []string) (found []metric) {
	for _, m := range measures {
		for _, metric := range m.metrics {
			for _, key := range keys {
				if key == metric.key {
					found = append(found, metric)
				}
			}
		}
	}
	return found
}
