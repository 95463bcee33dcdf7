// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The objects in the repository were made of the source beside them.
func TestObjectsAreOfThisSource(t *testing.T) {
	sums, err := os.ReadFile("object.sum")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for line := range strings.Lines(string(sums)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files++
		if got := fmt.Sprintf("%x", sha256.Sum256(content)); got != sum {
			t.Errorf("%s is not the one that object.sum names: run make bpf", name)
		}
	}
	if files != 3 {
		t.Errorf("object.sum names %d files, want 3", files)
	}
}

// The names of reasons are in the order of the source.
func TestReasonsAreInTheOrderOfTheSource(t *testing.T) {
	source, err := os.ReadFile("shortcut.c")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(source), "enum reason {")
	list, _, _ := strings.Cut(after, "}")
	all := regexp.MustCompile(`(EGRESS|INGRESS|BRIDGE)_([A-Z_]+),`).FindAllStringSubmatch(list, -1)
	if len(all) != len(reasons) {
		t.Fatalf("%d reasons in the source, %d in Go", len(all), len(reasons))
	}
	for i, found := range all {
		direction, name := strings.ToLower(found[1]), strings.ReplaceAll(strings.ToLower(found[2]), "_", "-")
		r := reasons[i]
		if r.direction != direction || r.name != name {
			t.Errorf("reason %d is %s %s in the source, %s %s in Go", i, direction, name, r.direction, r.name)
		}
	}
}

// maxStations is how many addresses behind bridges the kernel's map holds.
const maxStations = 16384

// The sizes that Go counts with are those of the source.
func TestSizesAreThoseOfTheSource(t *testing.T) {
	source, err := os.ReadFile("shortcut.c")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("__uint(max_entries, %d);\n\t__type(key, struct prefix);", maxPeers),
		fmt.Sprintf("__uint(max_entries, %d);\n\t__type(key, __u32);\n\t__type(value, struct volume);", maxSlots),
		fmt.Sprintf("__uint(max_entries, %d);\n\t__type(key, struct station);", maxStations),
		fmt.Sprintf("#define SEND %d ", flagSend),
	} {
		if !strings.Contains(string(source), want) {
			t.Errorf("the source has no %q", want)
		}
	}
}
