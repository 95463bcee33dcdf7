// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// What follows is how a script sees flanneld's JSON: only what the tests look
// at, spelt out here a second time so that a renamed field breaks a test.

// Nodes is `flanneld nodes -o json`.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// Node is one line of the node table.
type Node struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	State    string  `json:"state"`
	Self     bool    `json:"self"`
	Subnet   string  `json:"subnet"`
	Start    uint64  `json:"start"`
	Endpoint string  `json:"endpoint"`
	Roamed   string  `json:"roamed"`
	Egress   Traffic `json:"egress"`
	Ingress  Traffic `json:"ingress"`
	Path     struct {
		State string `json:"state"`
		Note  string `json:"note"`
	} `json:"path"`
	Paths  []NodePath `json:"paths"`
	Sealed struct {
		State string `json:"state"`
		Suite string `json:"suite"`
	} `json:"sealed"`
	Note string `json:"note"`
}

// NodePath is a way to reach a node.
type NodePath struct {
	Name     string       `json:"path"`
	Used     bool         `json:"used"`
	Why      string       `json:"why"`
	Shortcut NodeShortcut `json:"shortcut"`
}

// PathInUse is the name of the way by which packets reach the node; "" for
// none.
func (n Node) PathInUse() string {
	for _, p := range n.Paths {
		if p.Used {
			return p.Name
		}
	}
	return ""
}

// Traffic counts packets one way.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Status is `flanneld status -o json`.
type Status struct {
	OK       bool      `json:"ok"`
	Summary  string    `json:"summary"`
	Problems []Problem `json:"problems"`
	Version  string    `json:"version"`
	Node     struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"node"`
	Network struct {
		ID     string `json:"id"`
		Prefix string `json:"prefix"`
	} `json:"network"`
	Lease struct {
		State   string `json:"state"`
		Waiting string `json:"waiting"`
		Subnet  string `json:"subnet"`
		Pinned  bool   `json:"pinned"`
	} `json:"lease"`
	Underlay struct {
		Address string `json:"address"`
	} `json:"underlay"`
	Endpoint string `json:"endpoint"`
	Gossip   string `json:"gossip"`
	Device   struct {
		Name  string `json:"name"`
		State string `json:"state"`
		MTU   int    `json:"mtu"`
	} `json:"device"`
	Offloads []struct {
		Name string `json:"name"`
		Used bool   `json:"used"`
		Note string `json:"note"`
	} `json:"offloads"`
	Security struct {
		GossipSealed bool   `json:"gossip_sealed"`
		DataSealed   bool   `json:"data_sealed"`
		KeyFile      string `json:"key_file"`
		Sealing      struct {
			Sessions   int               `json:"sessions"`
			Handshakes uint64            `json:"handshakes"`
			Rejected   map[string]uint64 `json:"rejected"`
		} `json:"sealing"`
	} `json:"security"`
	Members struct {
		Alive, Suspect, Dead, Left, Static int
	} `json:"members"`
	Shortcut Shortcut          `json:"shortcut"`
	Egress   Traffic           `json:"egress"`
	Ingress  Traffic           `json:"ingress"`
	Drops    map[string]uint64 `json:"drops"`
	Host     struct {
		IPForward        bool `json:"ip_forward"`
		IPForwardChanged bool `json:"ip_forward_changed"`
		Masquerade       bool `json:"masquerade"`
	} `json:"host"`
	Readiness struct {
		Ready   bool     `json:"ready"`
		Missing []string `json:"missing"`
	} `json:"readiness"`
	Metrics struct {
		Address string `json:"address"`
		Exposed bool   `json:"exposed"`
	} `json:"metrics"`
	Process struct {
		Goroutines  int    `json:"goroutines"`
		Descriptors int    `json:"descriptors"`
		Memory      uint64 `json:"memory_bytes"`
	} `json:"process"`
}

// Problem is one thing that does not work as it should.
type Problem struct {
	Part   string `json:"part"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// Route is `flanneld route get IP -o json`.
type Route struct {
	Kind   string `json:"kind"`
	Prefix string `json:"prefix"`
	Node   struct {
		Name string `json:"name"`
	} `json:"node"`
	Endpoint string `json:"endpoint"`
	Reason   string `json:"reason"`
	Kernel   []struct {
		From     string `json:"from"`
		Device   string `json:"device"`
		Text     string `json:"text"`
		InTheWay bool   `json:"in_the_way"`
	} `json:"kernel"`
}

// Nodes asks the host's daemon for its node table.
func (h *Host) Nodes() (Nodes, error) {
	var nodes Nodes
	return nodes, h.JSON(&nodes, "nodes")
}

// Status asks the host's daemon how it is; the test fails if it does not say.
func (h *Host) Status() Status {
	h.lab.t.Helper()
	var s Status
	if err := h.JSON(&s, "status"); err != nil {
		h.lab.t.Fatalf("%v", err)
	}
	return s
}

// JSON runs a command with -o json and decodes what it prints. What `status`
// prints counts, and not whether it finds problems.
func (h *Host) JSON(into any, args ...string) error {
	h.lab.t.Helper()
	if args[0] == "status" {
		args = append(args, "--exit-zero")
	}
	r := h.Flanneld(append(args, "-o", "json")...)
	if r.Status != 0 {
		return fmt.Errorf("%s: flanneld %s: exit status %d: %s", h.NodeName, strings.Join(args, " "), r.Status, r.Stderr)
	}
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		return fmt.Errorf("%s: flanneld %s: %w in %q", h.NodeName, strings.Join(args, " "), err, r.Stdout)
	}
	return nil
}

// Find returns the node of that name, or a zero Node.
func (n Nodes) Find(name string) Node {
	for _, node := range n.Nodes {
		if node.Name == name {
			return node
		}
	}
	return Node{}
}

// Summary lists which node holds which subnet, in the table's own order, for
// comparing tables of different hosts. It counts the live nodes.
func (n Nodes) Summary() (table string, alive int) {
	var lines []string
	for _, node := range n.Nodes {
		if node.State == "static" {
			continue // each host has its own
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", node.Name, node.State, node.Subnet))
		if node.State == "alive" {
			alive++
		}
	}
	return strings.Join(lines, ", "), alive
}

// WaitState waits until the host's daemon sees the node in that state.
func (h *Host) WaitState(node, state string, limit time.Duration) {
	h.lab.t.Helper()
	Eventually(h.lab.t, limit, fmt.Sprintf("%s to see %s %s", h.NodeName, node, state), func() error {
		nodes, err := h.Nodes()
		if err != nil {
			return err
		}
		got := nodes.Find(node).State
		return Expect(got == state, "it is %q", got)
	})
}
