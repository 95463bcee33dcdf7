// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// publishedDir is where the results that the documents show are kept.
const publishedDir = "docs/benchmark"

// What is between these lines of a document is a table of the published run.
const (
	tableBegins = "<!-- benchmark table -->\n"
	tableEnds   = "<!-- end of benchmark table -->\n"
)

// documents show the published run, each in its own way.
var documents = map[string]func(*Report) string{
	"README.md":                              (*Report).headlines,
	filepath.Join(publishedDir, "README.md"): (*Report).text,
}

// publish makes the report the published one. root is the top of the tree.
func (r *Report) publish(root string) error {
	dir := filepath.Join(root, publishedDir)
	if err := r.write(filepath.Join(dir, "results.json")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "chart.svg"), []byte(r.chart()), 0o644); err != nil {
		return err
	}
	for name, table := range documents {
		if err := replaceTable(filepath.Join(root, name), table(r)); err != nil {
			return err
		}
	}
	return nil
}

// replaceTable puts the table into the document.
func replaceTable(name, table string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	changed, err := withTable(string(text), table)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, []byte(changed), 0o644)
}

// withTable is the document with the table in its place.
func withTable(document, table string) (string, error) {
	before, rest, begins := strings.Cut(document, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return "", fmt.Errorf("no place for the table: it goes between the lines %q and %q", strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	return before + tableBegins + "\n" + table + "\n" + tableEnds + after, nil
}

// headlineTitles are the paths of the small table, which has to fit a terminal.
var headlineTitles = map[string]string{
	"routing": "routing", "vxlan": "VXLAN",
	"flanneld": "flanneld", userSpace: "user space", "flanneld-direct": "direct", "flanneld-vxlan": "vxlan", "flanneld-auto": "auto",
	"flanneld-aes": "sealed", wireguardGo: "wireguard-go", "flannel": "flannel", "nebula": "nebula",
}

// headlines are a small table of the main comparison, and one of hosts with
// Docker's rules.
func (r *Report) headlines() string {
	main := r.Comparisons[0]
	text := main.headlines("of kernel VXLAN")
	for _, c := range r.Comparisons[1:] {
		if c.Name == docker && c.Reason == "" {
			text += "\n" + c.headlines("all with Docker's rules")
		}
	}
	return text + fmt.Sprintf("\n%d processors%s, Linux %s, %s, medians of %s; ↓: less is better.\n",
		r.Machine.Processors, r.apart(), r.Machine.Kernel, main.congestion(), counted(r.Rounds, "round"))
}

// headlines is a small table: the most important metrics, with the ratios
// alone, of some of the paths that were measured.
func (c Comparison) headlines(title string) string {
	rows := [][]string{{title}}
	var shown []Path
	for _, p := range c.measured() {
		if title := headlineTitles[p.Name]; title != "" {
			shown = append(shown, p)
			rows[0] = append(rows[0], title)
		}
	}
	for _, m := range metricsOf(c.Keys) {
		if !m.readme {
			continue
		}
		row := []string{m.headline()}
		for _, p := range shown {
			row = append(row, m.ratio(p.Results[m.key], p.Name == reference))
		}
		rows = append(rows, row)
	}
	return grid(rows)
}

// headline says which way a ratio is good, where it is not the usual one.
func (m metric) headline() string {
	if m.less {
		return m.title + " ↓"
	}
	return m.title
}

// ratio is a figure for the reference, and for others their share relative to
// that.
func (m metric) ratio(r Result, reference bool) string {
	switch {
	case len(r.Rounds) == 0:
		return "-"
	case reference:
		return "1 (" + m.value(r.Median) + ")"
	}
	return fmt.Sprintf("%.2f", r.OfVXLAN)
}
