// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the top of the tree, from this package.
const root = "../.."

func TestDocumentsShowThePublishedResults(t *testing.T) {
	r, err := readReport(filepath.Join(root, publishedDir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	const remedy = "go run ./test/bench -from docs/benchmark/results.json -publish"
	if string(read(t, filepath.Join(root, publishedDir, "chart.svg"))) != r.chart() {
		t.Errorf("the chart shows other results: %s", remedy)
	}
	for name, table := range documents {
		text := string(read(t, filepath.Join(root, name)))
		if fresh, err := withTable(text, table(&r)); err != nil || fresh != text {
			t.Errorf("%s shows other results (%v): %s", name, err, remedy)
		}
	}
}

func TestPublishWritesEverything(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, publishedDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range documents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("before\n"+tableBegins+"old\n"+tableEnds+"after\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := example()
	for range 2 { // the second changes nothing
		if err := r.publish(dir); err != nil {
			t.Fatal(err)
		}
		for name, table := range documents {
			if got, want := string(read(t, filepath.Join(dir, name))), "before\n"+tableBegins+"\n"+table(&r)+"\n"+tableEnds+"after\n"; got != want {
				t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
			}
		}
	}
	if got := string(read(t, filepath.Join(dir, publishedDir, "chart.svg"))); got != r.chart() {
		t.Errorf("chart:\n%s", got)
	}
}

func TestADocumentWithoutAPlaceForTheTableIsLeftAlone(t *testing.T) {
	for _, text := range []string{"", tableBegins, tableEnds + tableBegins} {
		if got, err := withTable(text, "table"); err == nil || !strings.Contains(err.Error(), "no place") {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}
