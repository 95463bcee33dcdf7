// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net/netip"
	"slices"

	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/packetsocket"
	"flanneld/internal/trace"
	"flanneld/peers"
)

// watchEchoes is how devices are watched for other nodes' traces.
func watchEchoes(device string, q trace.Question) (trace.Echoes, error) {
	return packetsocket.OpenEchoes(device, q.ID, q.To)
}

// askSight asks a node what it has seen of a trace. It is nil where the node
// does not answer: static peers and older nodes do not.
func (d *daemon) askSight(ctx context.Context, of control.NodeName, q trace.Question) *trace.Sight {
	nodes := d.node.Snapshot().Nodes
	i := slices.IndexFunc(nodes, func(n peers.NodeInfo) bool { return n.ID.String() == of.ID })
	if i < 0 {
		return nil
	}
	answer, err := d.node.Ask(ctx, nodes[i].ID, q.Encode())
	if err != nil {
		d.log.Debug("the other node says nothing of a trace", "node", of.Text(), "error", err)
		return nil
	}
	if s, ok := trace.ParseSight(answer); ok {
		return &s
	}
	return nil
}

// answer answers a question of a lease holder: what this host has seen of a
// trace to one of its containers.
func (d *daemon) answer(from peers.NodeID, question []byte) []byte {
	q, ok := trace.ParseQuestion(question)
	p := d.planes.current()
	if !ok || p == nil || !p.Lease().Contains(q.To) {
		return nil
	}
	seen, err := d.watched.Answer(q, func() trace.Devices { return d.watchedDevices(p.Link().Name, q.To) })
	if err != nil {
		d.log.Debug("the packets of a trace are not watched for", "from", from, "error", err)
		return nil
	}
	for _, r := range d.planes.routes.Plan().Routes {
		seen.Blind = seen.Blind || r.Node == from && r.Shortcut().Used
	}
	return seen.Encode()
}

// watchedDevices is where packets of a trace to an address pass this host.
func (d *daemon) watchedDevices(overlay string, to netip.Addr) trace.Devices {
	at := trace.Devices{Outer: []string{overlay}}
	if c := d.parts.PathRules.Wanted(); c != nil {
		at.Outer = append(at.Outer, c.VXLANDevice, c.IPIPDevice)
		if c.Direct {
			at.Outer = append(at.Outer, c.Underlay)
		}
	}
	found, err := bridge.List()
	if err != nil {
		d.log.Debug("the bridges of this host cannot be listed", "error", err)
	}
	for _, b := range found {
		if slices.ContainsFunc(b.Addrs, func(own netip.Prefix) bool { return own.Contains(to) }) {
			at.Bridge, at.Ports = b.Name, b.Ports[:min(len(b.Ports), maxWatchedPorts)]
		}
	}
	return at
}

// maxWatchedPorts is how many ports of a bridge are watched: each packet of a
// port costs a filter meanwhile.
const maxWatchedPorts = 64
