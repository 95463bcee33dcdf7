// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// pictured matches a row of the table of packages in ARCHITECTURE.md: the
// number of a floor, and a package.
var pictured = regexp.MustCompile("^\\| (\\d+) \\| `([a-z][a-z0-9/_-]*)` \\|")

// TestPictureOfImportsIsTrue holds ARCHITECTURE.md's picture against the code:
// each package is on one floor, and imports from lower floors only. Packages
// for tests of others (tuntest and the like) are left out.
func TestPictureOfImportsIsTrue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	floors := floorsOf(t, string(text))
	imports := map[string][]string{}
	for _, p := range list(t, "linux") {
		if len(p.GoFiles) > 0 && !within(p.ImportPath, []string{"test"}) && !strings.HasSuffix(p.ImportPath, "test") {
			imports[strings.TrimPrefix(p.ImportPath, module+"/")] = p.Imports
		}
	}
	for _, wrong := range compareFloors(floors, imports) {
		t.Error(wrong)
	}
}

// floorsOf reads which floor each package is on.
func floorsOf(t *testing.T, text string) map[string]int {
	t.Helper()
	floors := map[string]int{}
	for line := range strings.Lines(text) {
		m := pictured.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		floor, err := strconv.Atoi(m[1])
		if on, twice := floors[m[2]]; err != nil || twice {
			t.Errorf("ARCHITECTURE.md has %s on floor %d and on floor %s", m[2], on, m[1])
		}
		floors[m[2]] = floor
	}
	return floors
}

// compareFloors returns what is wrong with the floors. imports are import paths
// by package.
func compareFloors(floors map[string]int, imports map[string][]string) (wrong []string) {
	for name, paths := range imports {
		floor, shown := floors[name]
		if !shown {
			wrong = append(wrong, "ARCHITECTURE.md does not show "+name)
			continue
		}
		for _, path := range paths {
			other, _ := strings.CutPrefix(path, module+"/")
			if below, ok := floors[other]; ok && below >= floor {
				wrong = append(wrong, fmt.Sprintf("%s on floor %d imports %s on floor %d", name, floor, other, below))
			}
		}
	}
	for name := range floors {
		if _, ok := imports[name]; !ok {
			wrong = append(wrong, "ARCHITECTURE.md shows "+name+", which is not there")
		}
	}
	return wrong
}

func TestPictureOfImportsIsComparedWithTheCode(t *testing.T) {
	floors := floorsOf(t, "text\n| 1 | `a` | x |\n| 1 | `b/c` | y |\n| 0 | `d` | z |\n")
	good := map[string][]string{"a": {module + "/d", "fmt"}, "b/c": nil, "d": nil}
	if wrong := compareFloors(floors, good); len(wrong) != 0 {
		t.Errorf("good imports: %q", wrong)
	}
	for what, imports := range map[string]map[string][]string{
		"sideways":  {"a": {module + "/b/c"}, "b/c": nil, "d": nil},
		"upward":    {"a": nil, "b/c": nil, "d": {module + "/a"}},
		"not shown": {"a": nil, "b/c": nil, "d": nil, "e": nil},
		"not there": {"a": nil, "d": nil},
	} {
		if wrong := compareFloors(floors, imports); len(wrong) != 1 {
			t.Errorf("%s: %q", what, wrong)
		}
	}
}
