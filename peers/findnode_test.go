// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"strings"
	"testing"
)

// Where several nodes have a name, each is named with its ID and whether it is
// alive. Only the dead can be struck out.
func TestNamesOfSeveralNodesAreToldApart(t *testing.T) {
	nodes := []NodeInfo{{ID: NodeID{1}, Name: "web"}, {ID: NodeID{2}, Name: "web", State: Alive}, {ID: NodeID{3}, Name: "web"}}
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
