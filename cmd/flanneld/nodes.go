// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
)

func nodesCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "nodes",
		Short: "Show the node table",
		Long: `Show the node table: this node (with a star), the other nodes, and the static peers.

PATH is how packets travel to a node: direct, vxlan, ipip or udp. A ! behind it says that a path
that this node prefers does not work; NOTE says which, and flanneld ping tries them all. With
"(kernel)" behind udp, the kernel carries the packets by the short-cut. DATA PATH is what probes
have found on that path. ROUND TRIP is that of gossip. In a sealed network, SEALED is the cipher of
the session with a node, and how old the session is.`,
		Args: exactly(),
	}
	at, as := addTarget(c), addFormat(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := at.client(e)
		if err != nil {
			return err
		}
		nodes, err := client.Nodes(c.Context())
		if err != nil {
			return err
		}
		return show(e, *as, nodes, func(t *table) { drawNodes(t, nodes) })
	}
	return c
}

// sealedColumn is shown in a sealed network only.
const sealedColumn = 9

// drawNodes marks this node with a star.
func drawNodes(t *table, nodes control.Nodes) {
	drawHealth(t, nodes.Health, false)
	sealed := slices.ContainsFunc(nodes.Nodes, func(n control.Node) bool { return n.Sealed.State != control.SealNone })
	line := func(color string, cells ...string) {
		if !sealed {
			cells = slices.Delete(cells, sealedColumn, sealedColumn+1)
		}
		t.line(color, cells...)
	}
	line(plain, "NODE", "ID", "STATE", "SUBNET", "EPOCH", "HELD", "GRANT", "ENDPOINT", "ROUND TRIP", "SEALED", "PATH", "DATA PATH", "EGRESS", "INGRESS", "NOTE")
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
		epoch, held, grant := leaseCells(n)
		line(rowColor(n), name, dashed(shortID(n.ID)), state, subnet, epoch, held, grant, endpointText(n.Endpoint),
			roundTrip(n.RTT), sealedCell(n.Sealed), pathName(n.Paths), pathText(n.Path), traffic(n.Egress), traffic(n.Ingress), noteText(n))
	}
}

// leaseCells are the lease's epoch, its age, and its grant.
func leaseCells(n control.Node) (epoch, held, grant string) {
	if !n.Subnet.IsValid() || n.Epoch == 0 {
		return "-", "-", "-"
	}
	grant = "itself"
	if n.Electors > 0 {
		grant = fmt.Sprintf("%d of %d", n.Promises, n.Electors)
	}
	return fmt.Sprint(n.Epoch), since(n.LeaseAge), grant
}

// pathName is the path in use, with a mark where a better one does not work.
func pathName(paths []control.NodePath) string {
	mark := ""
	for _, p := range paths {
		if p.Used {
			return p.Name() + mark
		}
		if broken(p) {
			mark = "!"
		}
	}
	if len(paths) > 0 {
		return "none"
	}
	return "-"
}

// broken reports whether a path is there and does not carry packets.
func broken(p control.NodePath) bool {
	return p.State == control.PathFailed || p.State == control.PathSmallOnly
}

// betterPaths says why paths are not used that are preferred to the one in use.
func betterPaths(paths []control.NodePath) (notes []string) {
	for _, p := range paths {
		if p.Used {
			return notes
		}
		if broken(p) {
			notes = append(notes, "not "+p.Path+": "+p.Why)
		}
	}
	return nil // none is used, and the node's note says why
}

// noteText puts a conflict first, then what is wrong with the data paths.
func noteText(n control.Node) string {
	var notes []string
	if n.Conflict != "" {
		notes = append(notes, "CONFLICT: "+n.Conflict)
	}
	notes = append(notes, betterPaths(n.Paths)...)
	notes = append(notes, shortcutNote(n.Paths)...)
	for _, note := range []string{n.Path.Note, n.Note} {
		if note != "" {
			notes = append(notes, note)
		}
	}
	return strings.Join(notes, "; ")
}

func rowColor(n control.Node) string {
	if n.Conflict != "" {
		return red
	}
	return stateColor(n)
}

func stateColor(n control.Node) string {
	switch n.State {
	case "dead":
		return red
	case "suspect":
		return yellow
	}
	if n.Path.State == control.PathFailed || n.Path.State == control.PathSmallOnly {
		return yellow
	}
	return plain
}
