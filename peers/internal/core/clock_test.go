// SPDX-License-Identifier: Apache-2.0

package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The core has no clock of its own, neither the wall's nor another: promise 7
// follows, since a driver's clock that only runs forward is all there is.
func TestTheCoreReadsNoClock(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources found: ", err)
	}
	used := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" {
					used[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	for name := range used {
		switch name {
		case "Duration", "Microsecond", "Millisecond", "Second", "Minute", "Hour":
		default:
			t.Errorf("the core uses time.%s: it may know durations, and nothing else of time", name)
		}
	}
	if !used["Duration"] {
		t.Error("nothing was looked at")
	}
}
