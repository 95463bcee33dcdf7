// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"os"
	"strings"
	"testing"

	"flanneld/internal/valid"
)

func TestEnvironmentFilesAreReadAsSystemdDoes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"plain":                {"A=1\nB= two words \nC=", map[string]string{"A": "1", "B": "two words", "C": ""}},
		"comments":             {"# A=1\n; B=1\n  #C=1\nD=x # y\n", map[string]string{"D": "x # y"}},
		"quotes":               {"A='a b'\nB=\"c\\\"d $ \"\nC='it''s'\nD='\\n'\nE=\"\\n\"\n", map[string]string{"A": "a b", "B": "c\"d $ ", "C": "its", "D": `\n`, "E": `\n`}},
		"a regular expression": {`FLANNELD_IFACE_REGEX='^192\.168\.'`, map[string]string{"FLANNELD_IFACE_REGEX": `^192\.168\.`}},
		"an unquoted one":      {`A=^192\.168\.`, map[string]string{"A": `^192.168.`}},
		"long lines":           {"A=1\\\n2\nB=\"x\\\ny\"\n#c\\\nC=1\nD=4", map[string]string{"A": "12", "B": "xy", "D": "4"}},
		"the last one":         {"A=1\nA=2\n", map[string]string{"A": "2"}},
		"no assignments":       {"export\nA=1\n2B=3\nexport C=4\n=5\n", map[string]string{"A": "1"}},
		"carriage returns":     {"A=1\r\nB=2\r\n", map[string]string{"A": "1", "B": "2"}},
		"quotes over lines":    {"A='1\n2'\nB=3\nx\n", map[string]string{"A": "1\n2", "B": "3"}},
		"an open quote":        {"A='1\nB=3", map[string]string{"A": "1\nB=3"}},
		"nothing":              {"", map[string]string{}},
	} {
		if got := Environment([]byte(c.text)); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
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
	if vars := Environment(content); len(vars) > 0 {
		t.Errorf("it sets %v", vars)
	}
	text := strings.ReplaceAll(string(content), "#FLANNELD_", "FLANNELD_")
	vars := Environment([]byte(text))
	for line := range strings.Lines(text) { // none is passed over
		name, _, assigns := strings.Cut(line, "=")
		if _, ok := vars[name]; line != "\n" && line[0] != '#' && !(assigns && ok) {
			t.Errorf("%q sets nothing", line)
		}
	}
	if len(vars) != len(Settings()) {
		t.Errorf("%d of %d settings", len(vars), len(Settings()))
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
		for name, value := range Environment(content) {
			if !valid.Variable(name) || len(value) > len(content) {
				t.Errorf("%q=%q", name, value)
			}
		}
	})
}
