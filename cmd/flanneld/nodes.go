package main

import (
	"github.com/spf13/cobra"

	"flanneld/internal/control"
)

func nodesCommand(s surroundings) *cobra.Command {
	c := &cobra.Command{
		Use:   "nodes",
		Short: "Show the node table",
		Args:  exactly(),
	}
	at, as := addPlace(c), addFormat(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := at.client(s)
		if err != nil {
			return err
		}
		nodes, err := client.Nodes(c.Context())
		if err != nil {
			return err
		}
		return show(s, *as, nodes, func(t *table) { drawNodes(t, nodes) })
	}
	return c
}

// drawNodes marks this node with a star.
func drawNodes(t *table, nodes control.Nodes) {
	t.line(plain, "NODE", "ID", "STATE", "SUBNET", "ENDPOINT", "ROUND TRIP", "EGRESS", "INGRESS", "NOTE")
	for _, n := range nodes.Nodes {
		name, state := dashed(n.Name), n.State
		if n.Self {
			name += "*"
		}
		if n.State != "alive" && n.Since > 0 {
			state += " " + since(n.Since)
		}
		subnet := dash(n.Subnet)
		if n.Pinned {
			subnet += " pinned"
		}
		t.line(stateColor(n), name, dashed(shortID(n.ID)), state, subnet, dash(n.Endpoint),
			roundTrip(n.RTT), traffic(n.Egress), traffic(n.Ingress), n.Note)
	}
}

func stateColor(n control.Node) string {
	switch n.State {
	case "dead":
		return red
	case "suspect":
		return yellow
	}
	return plain
}
