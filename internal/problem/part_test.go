// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A part that is declared is listed.
func TestAllPartsAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "part.go", nil, 0)
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
		if err != nil || !slices.Contains(Parts(), name) {
			t.Errorf("%s (%q) is not listed, %v", v.Names[0].Name, name, err)
		}
		return true
	})
	if declared == 0 || declared != len(Parts()) {
		t.Errorf("%d parts are declared, %d listed", declared, len(Parts()))
	}
}
