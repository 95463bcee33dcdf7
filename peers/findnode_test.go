// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"strings"
	"testing"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Where several nodes have a name, each is named with its ID and whether it is
// alive. Only the dead can be struck out.
func TestNamesOfSeveralNodesAreToldApart(t *testing.T) {
	nodes := []core.NodeView{{ID: record.NodeID{1}}, {ID: record.NodeID{2}, Up: true}, {ID: record.NodeID{3}}}
	for i := range nodes {
		nodes[i].Record.Name = "web"
	}
	_, err := findNode(nodes, "web")
	if err == nil {
		t.Fatal("no error")
	}
	for i, n := range nodes {
		word := n.ID.String() + [...]string{" is dead", " is alive", " is dead"}[i]
		if !strings.Contains(err.Error(), word) {
			t.Errorf("no %q in %q", word, err)
		}
	}
}
