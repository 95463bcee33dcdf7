// SPDX-License-Identifier: Apache-2.0

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
	notInSlug  = regexp.MustCompile(`[^\w -]`)
	testInText = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)(?:/[a-z_0-9]+)?`")
	testInCode = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	nameInText = regexp.MustCompile("`([a-z][a-z0-9_]*)\\.([A-Za-z][A-Za-z.]*)`")
	wordInCode = regexp.MustCompile(`[A-Za-z]\w*`)
	makeInText = regexp.MustCompile("(?m)(?:`|^ {4})make ([a-z][a-z0-9-]*)")
	ruleOfMake = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
	phonyRules = regexp.MustCompile(`(?m)^\.PHONY:((?:.*\\\n)*.*)$`)
)

// repository is what documents may name.
type repository struct {
	root     string
	tests    map[string]bool            // names of tests
	packages map[string]map[string]bool // the words in the code of each package
	targets  map[string]bool            // of make
}

// readRepository reads the module, and returns its documents, too, by path.
func readRepository(t *testing.T) (r repository, documents map[string]string) {
	t.Helper()
	r = repository{moduleRoot(t), map[string]bool{}, map[string]map[string]bool{}, map[string]bool{}}
	documents = map[string]string{}
	for _, m := range ruleOfMake.FindAllStringSubmatch(makefile(t), -1) {
		r.targets[m[1]] = true
	}
	err := filepath.WalkDir(r.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, extension := entry.Name(), filepath.Ext(path)
		switch {
		case entry.IsDir() && (name == ".git" || name == "testdata" || name == "bin"):
			return filepath.SkipDir
		case entry.IsDir() || extension != ".md" && extension != ".go":
			return nil
		}
		data, err := os.ReadFile(path)
		if extension == ".md" {
			documents[path] = string(data)
			return err
		}
		for _, m := range testInCode.FindAllSubmatch(data, -1) {
			r.tests[string(m[1])] = true
		}
		of := filepath.Base(filepath.Dir(path))
		if r.packages[of] == nil {
			r.packages[of] = map[string]bool{}
		}
		for _, word := range wordInCode.FindAll(data, -1) {
			r.packages[of][string(word)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, documents
}

func makefile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(moduleRoot(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestEveryTargetOfMakeHasARule: for a name that is only listed as no file,
// make says that there is nothing to do, and succeeds.
func TestEveryTargetOfMakeHasARule(t *testing.T) {
	r, _ := readRepository(t)
	listed := map[string]bool{}
	for _, name := range strings.Fields(strings.ReplaceAll(phonyRules.FindStringSubmatch(makefile(t))[1], "\\\n", " ")) {
		listed[name] = true
		if !r.targets[name] {
			t.Errorf("make %s has no rule", name)
		}
	}
	for name := range r.targets {
		if !listed[name] {
			t.Errorf("make %s would do nothing beside a file of that name: .PHONY lacks it", name)
		}
	}
}

// TestDocumentsNameWhatExists holds that the paths, links, tests, targets of
// make and names of code which the documents name are in the repository.
func TestDocumentsNameWhatExists(t *testing.T) {
	r, documents := readRepository(t)
	for path, document := range documents {
		for _, missing := range r.missing(path, document) {
			t.Errorf("%s names %s, which is not there", strings.TrimPrefix(path, r.root+"/"), missing)
		}
	}
}

// missing lists what a document names and the repository lacks.
func (r *repository) missing(path, document string) (missing []string) {
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	for _, m := range pathInText.FindAllStringSubmatch(document, -1) {
		for _, each := range alternatives(m[1]) {
			if !exists(filepath.Join(r.root, each)) {
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
		if !r.tests[m[1]] {
			missing = append(missing, m[1])
		}
	}
	for _, m := range makeInText.FindAllStringSubmatch(document, -1) {
		if !r.targets[m[1]] {
			missing = append(missing, "make "+m[1])
		}
	}
	for _, m := range nameInText.FindAllStringSubmatch(document, -1) {
		known := r.packages[m[1]]
		for _, word := range strings.Split(m[2], ".") {
			if known != nil && !known[word] {
				missing = append(missing, m[1]+"."+m[2])
				break
			}
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
	r, _ := readRepository(t)
	text := "See `test/laws_test.go`, `test/{lab,attic}`, `peers/nothing.go -x`, [a page](README.md), [another](docs/nothing.md#x), [a part](docs/leases.md#what-you-can-count-on), " +
		"[no part](docs/leases.md#nothing), [nor here](#nothing), " +
		"[the web](https://example.org/), `TestReferenceCheckerBites`, `TestOfNothing/in_two`, " +
		"`encap.Conn.Send`, `encap.Conn.Frobnicate`, `netip.Prefix`, `subnet.env`, `make help` and `make nothing RUNS=1`."
	got := r.missing(filepath.Join(r.root, "X.md"), text)
	if want := "test/attic peers/nothing.go docs/nothing.md docs/leases.md#nothing #nothing TestOfNothing make nothing encap.Conn.Frobnicate"; strings.Join(got, " ") != want {
		t.Errorf("missing are %q, want %q", got, want)
	}
}
