// SPDX-License-Identifier: Apache-2.0

package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flanneld/internal/problem"
)

// A part that reports problems is listed in problem.Parts, so that metrics have
// it from the start.
func TestAllPartsAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot(t), "internal/problem/part.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Part") {
			return true
		}
		declared++
		name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil || !slices.Contains(problem.Parts(), name) {
			t.Errorf("%s (%q) is not in problem.Parts, %v", v.Names[0].Name, name, err)
		}
		return true
	})
	if declared == 0 || declared != len(problem.Parts()) {
		t.Errorf("%d parts are declared, %d listed", declared, len(problem.Parts()))
	}
}
