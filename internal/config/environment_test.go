// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/valid"
)

func TestEnvironmentFilesAreReadAsSystemdDoes(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		want    map[string]string
		skipped []int
	}{
		"plain":                {"A=1\nB= two words \nC=", map[string]string{"A": "1", "B": "two words", "C": ""}, nil},
		"comments":             {"# A=1\n; B=1\n  #C=1\nD=x # y\n", map[string]string{"D": "x # y"}, nil},
		"quotes":               {"A='a b'\nB=\"c\\\"d $ \"\nC='it''s'\nD='\\n'\nE=\"\\n\"\n", map[string]string{"A": "a b", "B": "c\"d $ ", "C": "its", "D": `\n`, "E": `\n`}, nil},
		"a regular expression": {`FLANNELD_IFACE_REGEX='^192\.168\.'`, map[string]string{"FLANNELD_IFACE_REGEX": `^192\.168\.`}, nil},
		"an unquoted one":      {`A=^192\.168\.`, map[string]string{"A": `^192.168.`}, nil},
		"long lines":           {"A=1\\\n2\nB=\"x\\\ny\"\n#c\\\nC=1\nD=4", map[string]string{"A": "12", "B": "xy", "D": "4"}, nil},
		"the last one":         {"A=1\nA=2\n", map[string]string{"A": "2"}, nil},
		"no assignments":       {"export\nA=1\n2B=3\nexport C=4\n=5\n", map[string]string{"A": "1"}, []int{1, 3, 4, 5}},
		"carriage returns":     {"A=1\r\nB=2\r\n", map[string]string{"A": "1", "B": "2"}, nil},
		"quotes over lines":    {"A='1\n2'\nB=3\nx\n", map[string]string{"A": "1\n2", "B": "3"}, []int{4}},
		"an open quote":        {"A='1\nB=3", map[string]string{"A": "1\nB=3"}, nil},
		"nothing":              {"", map[string]string{}, nil},
	} {
		got, skipped := Environment([]byte(c.text))
		if !maps.Equal(got, c.want) || !slices.Equal(skipped, c.skipped) {
			t.Errorf("%s: got %q and skipped %v, want %q and %v", name, got, skipped, c.want, c.skipped)
		}
	}
}

// The example file sets nothing, and each of its lines is a setting once it is
// one.
func TestTheExampleFileIsAnEnvironmentFile(t *testing.T) {
	content, err := os.ReadFile("../../dist/flanneld.default")
	if err != nil {
		t.Fatal(err)
	}
	if vars, skipped := Environment(content); len(vars) > 0 || len(skipped) > 0 {
		t.Errorf("it sets %v, and skips %v", vars, skipped)
	}
	vars, skipped := Environment([]byte(strings.ReplaceAll(string(content), "#FLANNELD_", "FLANNELD_")))
	if len(vars) != len(Settings()) || len(skipped) > 0 {
		t.Errorf("%d of %d settings, skipped %v", len(vars), len(Settings()), skipped)
	}
	for _, s := range Settings() {
		if _, ok := vars[s.Variable()]; !ok {
			t.Errorf("%s is missing", s.Variable())
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	for _, seed := range []string{"A=1\n", "A='b\\'\nC=\"\\\"d\"", "#\\\nA", "x\n=\n1=2", "A=\\"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		vars, skipped := Environment(content)
		for name, value := range vars {
			if !valid.Variable(name) || len(value) > len(content) {
				t.Errorf("%q=%q", name, value)
			}
		}
		lines := strings.Count(string(content), "\n") + 1
		for _, n := range skipped {
			if n < 1 || n > lines {
				t.Errorf("line %d of %d", n, lines)
			}
		}
	})
}
