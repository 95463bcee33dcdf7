package lab

import (
	"encoding/json"
	"fmt"
	"strings"
)

// What follows is how a script sees flanneld's JSON: only what the tests look
// at, spelt out here a second time so that a renamed field breaks a test.

// Nodes is `flanneld nodes -o json`.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// Node is one line of the node table.
type Node struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	State    string `json:"state"`
	Self     bool   `json:"self"`
	Subnet   string `json:"subnet"`
	Endpoint string `json:"endpoint"`
}

// Nodes asks the host's daemon for its node table.
func (h *Host) Nodes() (Nodes, error) {
	var nodes Nodes
	return nodes, h.JSON(&nodes, "nodes")
}

// JSON runs a command with -o json and decodes what it prints.
func (h *Host) JSON(into any, args ...string) error {
	h.lab.t.Helper()
	r := h.Flanneld(append(args, "-o", "json")...)
	if r.Status != 0 {
		return fmt.Errorf("%s: flanneld %s: exit status %d: %s", h.NodeName, strings.Join(args, " "), r.Status, r.Stderr)
	}
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		return fmt.Errorf("%s: flanneld %s: %w in %q", h.NodeName, strings.Join(args, " "), err, r.Stdout)
	}
	return nil
}

// Find returns the node of that name.
func (n Nodes) Find(name string) (Node, bool) {
	for _, node := range n.Nodes {
		if node.Name == name {
			return node, true
		}
	}
	return Node{}, false
}

// Summary lists who holds what, in the table's own order, for comparing
// tables of different hosts, and counts the nodes alive.
func (n Nodes) Summary() (table string, alive int) {
	var lines []string
	for _, node := range n.Nodes {
		lines = append(lines, fmt.Sprintf("%s %s %s", node.Name, node.State, node.Subnet))
		if node.State == "alive" {
			alive++
		}
	}
	return strings.Join(lines, ", "), alive
}
