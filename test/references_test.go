package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pathInText = regexp.MustCompile("`((?:cmd|dist|docs|encap|internal|peers|route|test|tun)/[A-Za-z0-9_./{},-]*)[^`]*`")
	linkInText = regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInSlug  = regexp.MustCompile("[^\\w -]")
	testInText = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)(?:/[a-z_0-9]+)?`")
	testInCode = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// TestDocumentsNameWhatExists holds that the paths, links and tests which the
// documents name are in the repository.
func TestDocumentsNameWhatExists(t *testing.T) {
	root := moduleRoot(t)
	documents, tests := map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, extension := entry.Name(), filepath.Ext(path)
		switch {
		case entry.IsDir() && (name == ".git" || name == "testdata" || name == "bin"):
			return filepath.SkipDir
		case entry.IsDir() || extension != ".md" && !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if extension == ".md" {
			documents[path] = string(data)
		}
		for _, m := range testInCode.FindAllStringSubmatch(string(data), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, document := range documents {
		for _, missing := range missingReferences(root, path, document, tests) {
			t.Errorf("%s names %s, which is not there", strings.TrimPrefix(path, root+"/"), missing)
		}
	}
}

// missingReferences lists what a document names and the repository lacks.
func missingReferences(root, path, document string, tests map[string]bool) (missing []string) {
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	for _, m := range pathInText.FindAllStringSubmatch(document, -1) {
		for _, each := range alternatives(m[1]) {
			if !exists(filepath.Join(root, each)) {
				missing = append(missing, each)
			}
		}
	}
	for _, m := range linkInText.FindAllStringSubmatch(document, -1) {
		target, text := path, document
		if m[1] != "" {
			target = filepath.Join(filepath.Dir(path), m[1])
			data, _ := os.ReadFile(target)
			text = string(data)
		}
		switch {
		case strings.Contains(m[1], ":"): // the web, or mail
		case m[1] != "" && !exists(target):
			missing = append(missing, m[1])
		case m[2] != "" && !hasAnchor(text, m[2]):
			missing = append(missing, m[1]+"#"+m[2])
		}
	}
	for _, m := range testInText.FindAllStringSubmatch(document, -1) {
		if !tests[m[1]] {
			missing = append(missing, m[1])
		}
	}
	return missing
}

// hasAnchor reports whether a heading of a document has this anchor.
func hasAnchor(document, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(document, -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// alternatives expands one pair of braces: a/{b,c} is a/b and a/c.
func alternatives(path string) (all []string) {
	before, rest, found := strings.Cut(path, "{")
	if !found {
		return []string{path}
	}
	inner, after, _ := strings.Cut(rest, "}")
	for _, each := range strings.Split(inner, ",") {
		all = append(all, before+each+after)
	}
	return all
}

// TestReferenceCheckerBites holds the checker itself to account.
func TestReferenceCheckerBites(t *testing.T) {
	root := moduleRoot(t)
	text := "See `test/laws_test.go`, `test/{lab,attic}`, `peers/nothing.go -x`, [a page](README.md), [another](docs/nothing.md#x), [a part](docs/leases.md#what-you-can-count-on), " +
		"[no part](docs/leases.md#nothing), [nor here](#nothing), " +
		"[the web](https://example.org/), `TestReferenceCheckerBites` and `TestOfNothing/in_two`."
	got := missingReferences(root, filepath.Join(root, "X.md"), text, map[string]bool{"TestReferenceCheckerBites": true})
	if want := "test/attic peers/nothing.go docs/nothing.md docs/leases.md#nothing #nothing TestOfNothing"; strings.Join(got, " ") != want {
		t.Errorf("missing are %q, want %q", got, want)
	}
}
