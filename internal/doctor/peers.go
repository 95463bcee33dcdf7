// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"flanneld/internal/control"
)

const (
	// maxPinged is how many peers get probes. Paths to all are probed by the
	// daemon all the time; this looks for the largest packet, and again.
	maxPinged = 32
	// pingedAtOnce bounds how many are under way.
	pingedAtOnce = 8
	// pings is how many probes each path in use gets, beside the ones that
	// find the largest packet.
	pings = 3
	// namedPeers is how many peers a line of what is well names.
	namedPeers = 5
)

// reach looks at the states of other nodes, and sends probes to them.
func (e *exam) reach(ctx context.Context) {
	if !e.running {
		return
	}
	var alive []control.Node
	others := 0
	for _, n := range e.nodes.Nodes {
		if n.Self {
			continue
		}
		others++
		switch {
		case n.State == "dead":
			e.deadNode(n)
		case n.State == "suspect":
			e.warn("peers", "members", fmt.Sprintf("%s is suspect since %s: gossip gets no answer from it", nodeText(n), seconds(n.Since)),
				fmt.Sprintf("see the lines gossip port; on that host: systemctl status flanneld; let UDP and TCP port %d pass", n.Gossip.Port()))
		}
		if n.Conflict != "" {
			e.broken("peers", "members", fmt.Sprintf("%s: %s", nodeText(n), n.Conflict), "see: flanneld nodes; run flanneld leave on one of the two, and start it again")
		}
		if n.Path.State != control.PathNone {
			alive = append(alive, n)
		}
	}
	if others == 0 {
		e.ok("peers", "members", "this node is the only one it knows")
		return
	}
	m := e.status.Members
	e.ok("peers", "members", "%d alive, %d suspect, %d dead, %d static", m.Alive, m.Suspect, m.Dead, m.Static)
	e.pingAll(ctx, alive)
	e.senders(ctx)
}

// unknownSender is the kind of drop that NAT between two hosts makes.
const unknownSender = "ingress-unknown-sender"

// senders looks for datagrams that came meanwhile from where no node is. Those
// of a node behind NAT, which answers the probes of pingAll, are known by the
// addresses in them.
func (e *exam) senders(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	now, err := e.Client.Status(ctx)
	if err != nil {
		e.skip("peers", "senders", err.Error(), "run flanneld doctor again")
		return
	}
	if e.strays(ctx) > 0 {
		return
	}
	if before := e.status.Drops[unknownSender]; now.Drops[unknownSender] > before {
		e.warn("peers", "senders", fmt.Sprintf("%d datagrams came meanwhile from an address that is no node's endpoint: a stranger sends, or there is NAT between two hosts", now.Drops[unknownSender]-before),
			fmt.Sprintf("see where they come from (tcpdump -n udp port %d); start the node behind NAT with --public-ip and the address that others see", e.status.Endpoint.Port()))
		return
	}
	e.ok("peers", "senders", "all datagrams came from nodes")
}

// strays reports the nodes with packets from an address that is no node's, and
// returns how many there are.
func (e *exam) strays(ctx context.Context) (found int) {
	now, err := e.Client.Nodes(ctx)
	if err != nil {
		return 0 // senders has other means
	}
	for _, n := range now.Nodes {
		if n.Stray.IsValid() && !n.Self {
			found++
			e.broken("peers", "senders", fmt.Sprintf("packets of %s come from %s and not from %s, and are dropped: NAT on the way changes their source", nodeText(n), n.Stray, n.Endpoint.Addr()),
				natAdvice("that host", n.Stray, e.status.Endpoint.Port()))
		}
	}
	return found
}

// natAdvice is what to do about NAT in front of a host.
func natAdvice(where string, seen netip.Addr, port uint16) string {
	return fmt.Sprintf("exempt UDP port %d from NAT on %s and on the way (nft list ruleset; iptables -t nat -S); or, if %s forwards its ports to it, start it with --public-ip %[3]s", port, where, seen)
}

// deadNode reports a node that is gone, and the subnet that it keeps.
func (e *exam) deadNode(n control.Node) {
	text := fmt.Sprintf("%s is dead since %s", nodeText(n), seconds(n.Since))
	if n.Subnet.IsValid() {
		text += fmt.Sprintf("; it keeps %s for now", n.Subnet)
	}
	e.warn("peers", "members", text, fmt.Sprintf("start it there (systemctl start flanneld), or if it will not come back: flanneld forget %s", n.ID))
}

// pinged is what came of the probes to a node.
type pinged struct {
	node control.Node
	got  control.Pinged
	err  error
}

// pingAll sends probes to nodes, several at a time.
func (e *exam) pingAll(ctx context.Context, nodes []control.Node) {
	if len(nodes) == 0 {
		return
	}
	// What does not work, or is not proven, comes first.
	slices.SortStableFunc(nodes, func(a, b control.Node) int { return wellRank(a) - wellRank(b) })
	all := make([]pinged, min(len(nodes), maxPinged))
	var asking sync.WaitGroup
	turns := make(chan struct{}, pingedAtOnce)
	for i := range all {
		turns <- struct{}{}
		asking.Go(func() {
			defer func() { <-turns }()
			all[i].node = nodes[i]
			all[i].got, all[i].err = e.Client.Ping(ctx, control.PingRequest{Node: idOf(nodes[i]), Count: pings})
		})
	}
	asking.Wait()
	if more := len(nodes) - len(all); more > 0 {
		e.skip("peers", "data path", fmt.Sprintf("%d more peers got no probes from this command; the daemon probes all", more), "flanneld ping NODE")
	}
	e.judgePings(all)
}

func wellRank(n control.Node) int {
	if n.Path.State == control.PathWorks {
		return 1
	}
	return 0
}

// idOf is how a request names a node: static peers have no ID.
func idOf(n control.Node) string {
	if n.ID != "" {
		return n.ID
	}
	return n.Subnet.Addr().String()
}

// judgePings sums up what works, and names what does not.
func (e *exam) judgePings(all []pinged) {
	var well, whole []string
	smallest := 0
	for _, p := range all {
		if p.err != nil {
			e.skip("peers", "data path", fmt.Sprintf("%s got no probes: %v", nodeText(p.node), p.err), "flanneld ping "+p.node.Name)
			continue
		}
		used, ok := usedPath(p.got)
		if !ok {
			e.broken("peers", "data path", fmt.Sprintf("no path leads to %s: %s", nodeText(p.node), p.got.Reason), "see: flanneld ping "+p.node.Name)
			continue
		}
		if !e.judgePath(p.node, used) {
			continue
		}
		well = append(well, fmt.Sprintf("%s by %s (%.1f ms)", p.node.Name, used.Path, 1000*float64(used.Avg)))
		if used.Largest >= used.MTU {
			whole = append(whole, p.node.Name)
			if smallest == 0 || used.MTU < smallest {
				smallest = used.MTU
			}
		}
	}
	if len(well) > 0 {
		e.ok("peers", "data path", "probes came back from %s", some(well))
	}
	if len(whole) > 0 {
		e.ok("peers", "largest packet", "packets of %d bytes reach %s whole", smallest, some(whole))
	}
}

// usedPath is the path that packets take now.
func usedPath(p control.Pinged) (control.PingedPath, bool) {
	i := slices.IndexFunc(p.Paths, func(one control.PingedPath) bool { return one.Used })
	if i < 0 {
		return control.PingedPath{}, false
	}
	return p.Paths[i], true
}

// judgePath judges the path in use to a node, and reports whether small packets
// pass.
func (e *exam) judgePath(n control.Node, p control.PingedPath) bool {
	port := fmt.Sprintf("UDP port %d", n.Endpoint.Port())
	advice := fmt.Sprintf("let %s pass on %s and on the way, and %s of this host for it; more: flanneld ping %s", port, n.Name, e.ownPort(), n.Name)
	switch {
	case p.Received == 0:
		e.broken("peers", "data path", fmt.Sprintf("no probe to %s by %s came back: %s", nodeText(n), p.Path, cmp.Or(p.Why, n.Path.Note, "no answer")), advice)
		return false
	case p.Received < p.Sent:
		e.warn("peers", "data path", fmt.Sprintf("%d of %d probes to %s by %s were lost", p.Sent-p.Received, p.Sent, nodeText(n), p.Path),
			fmt.Sprintf("try again: flanneld ping %s --count 20; if packets are lost again, look at the underlay (ping %s; ip -s link)", n.Name, n.Endpoint.Addr()))
	}
	if p.Largest < p.MTU {
		e.broken("peers", "largest packet", fmt.Sprintf("of packets to %s, %d bytes are the largest that came back, and %d should", nodeText(n), p.Largest, p.MTU),
			fmt.Sprintf("find what drops large datagrams on the way (tracepath -n %s), or start all nodes with a smaller --mtu", n.Endpoint.Addr()))
	}
	return true
}

func (e *exam) ownPort() string { return fmt.Sprintf("UDP port %d", e.status.Endpoint.Port()) }

// examine asks other nodes what of the gossip port works, what time it is
// there, and which version they are.
func (e *exam) examine(ctx context.Context) {
	if !e.running || len(e.nodes.Nodes) < 2 {
		return
	}
	got, err := e.Client.Examine(ctx)
	if err != nil {
		advice := "run flanneld doctor again"
		if errors.Is(err, control.ErrOlder) {
			advice = "systemctl restart flanneld"
		}
		e.skip("peers", "gossip port", err.Error(), advice)
		return
	}
	if more := got.Of - len(got.Nodes); more > 0 {
		e.skip("peers", "gossip port", fmt.Sprintf("%d more nodes were not asked", more), "run flanneld doctor there")
	}
	var both, clocks, versions []string
	for _, n := range got.Nodes {
		if !n.Answered {
			e.unanswered(n)
			continue
		}
		if e.judgeGossip(n) {
			both = append(both, n.Name)
		}
		if e.judgeClock(n) {
			clocks = append(clocks, n.Name)
		}
		if e.judgeVersion(n) {
			versions = append(versions, n.Name)
		}
		e.judgeTheirPath(n)
	}
	for _, line := range []struct {
		name, text string
		nodes      []string
	}{
		{"gossip port", "UDP and TCP pass both ways to", both}, {"clocks", "no more than two seconds between this host and", clocks},
		{"versions", e.status.Version + " is also on", versions},
	} {
		if len(line.nodes) > 0 {
			e.ok("peers", line.name, "%s %s", line.text, some(line.nodes))
		}
	}
}

// known is a node in the node table, the zero one where it is not there.
func (e *exam) known(id string) (found control.Node) {
	for _, n := range e.nodes.Nodes {
		if n.ID == id {
			found = n
		}
	}
	return found
}

// unanswered reports a node from which no answer has come at all.
func (e *exam) unanswered(n control.ExaminedNode) {
	at := e.known(n.ID).Gossip
	switch {
	case strings.Contains(n.Dial, "refused"):
		e.add("peers", "gossip port", verdictOf(n.State), fmt.Sprintf("%s at %s refuses TCP: flanneld does not run there, or a rule rejects it", n.Text(), at),
			"on that host: systemctl start flanneld; journalctl -u flanneld")
	case n.Dial != "":
		e.add("peers", "gossip port", verdictOf(n.State), fmt.Sprintf("%s at %s does not answer, neither by UDP nor by TCP: %s", n.Text(), at, n.Dial),
			fmt.Sprintf("see if the host is up (ping %s); let UDP and TCP port %d pass there and on the way", at.Addr(), at.Port()))
	case n.State == "alive":
		e.skip("peers", "gossip port", n.Text()+" does not answer the question: its flanneld is of a version before this one, or has just lost sight of this node", "upgrade flanneld there; run flanneld doctor on that host as well")
	default:
		e.add("peers", "gossip port", verdictOf(n.State), fmt.Sprintf("%s takes TCP at %s, and nothing comes back from it", n.Text(), at),
			fmt.Sprintf("let UDP and TCP port %d of this host pass for it, and see flanneld nodes on that host", e.status.Gossip.Port()))
	}
}

// verdictOf is how bad it is that a node does not answer: one that is known to
// be gone is no news.
func verdictOf(state string) string {
	if state == "dead" {
		return control.CheckWarning
	}
	return control.CheckBroken
}

// judgeGossip names the directions in which the gossip port is closed.
func (e *exam) judgeGossip(n control.ExaminedNode) (well bool) {
	at := e.known(n.ID).Gossip
	theirs := fmt.Sprintf("port %d of %s", at.Port(), at.Addr())
	ours := fmt.Sprintf("port %d of this host", e.status.Gossip.Port())
	well = true
	for _, way := range []struct {
		works            bool
		protocol, whence string
		closed           string
	}{
		{n.UDPThere, "UDP", "to " + n.Text(), theirs}, {n.TCPThere, "TCP", "to " + n.Text(), theirs},
		{n.UDPBack, "UDP", "from " + n.Text(), ours}, {n.TCPBack, "TCP", "from " + n.Text(), ours},
	} {
		if way.works {
			continue
		}
		well = false
		e.broken("peers", "gossip port", fmt.Sprintf("%s does not pass %s", way.protocol, way.whence),
			fmt.Sprintf("open %s %s (nft list ruleset; ufw status; firewall-cmd --list-all), there and on the way", way.protocol, way.closed))
	}
	return well
}

// clockLimit is from where on a difference is worth a warning. flanneld itself
// measures time by clocks that no setting changes: what suffers is that the
// logs of two hosts cannot be laid side by side, and certificates.
const clockLimit = 2.0 // seconds

func (e *exam) judgeClock(n control.ExaminedNode) (well bool) {
	ahead := float64(n.ClockAhead)
	if n.ClockWithin == 0 || max(ahead, -ahead)-float64(n.ClockWithin) <= clockLimit {
		return n.ClockWithin > 0
	}
	text := fmt.Sprintf("the clock of %s is %s ahead of this host's", n.Text(), seconds(n.ClockAhead))
	if ahead < 0 {
		text = fmt.Sprintf("the clock of %s is %s behind this host's", n.Text(), seconds(-n.ClockAhead))
	}
	e.warn("peers", "clocks", text+"; leases and paths do not depend on it, logs and certificates do", "find out which clock is wrong: timedatectl on both hosts; timedatectl set-ntp true")
	return false
}

func (e *exam) judgeVersion(n control.ExaminedNode) (well bool) {
	if n.Version == e.status.Version || n.Version == "" {
		return n.Version != ""
	}
	e.warn("peers", "versions", fmt.Sprintf("%s has flanneld %s, and this host %s", n.Text(), n.Version, e.status.Version), "upgrade the older one, host by host: traffic goes on meanwhile")
	return false
}

// judgeTheirPath reports that another node does not reach this one, though this
// one reaches it: the two directions have paths of their own.
func (e *exam) judgeTheirPath(n control.ExaminedNode) {
	if n.Stray.IsValid() {
		e.broken("peers", "senders", fmt.Sprintf("%s says that packets of this host come from %s and not from %s, and drops them: NAT on the way changes their source", n.Text(), n.Stray, e.status.Endpoint.Addr()),
			natAdvice("this host", n.Stray, e.known(n.ID).Endpoint.Port()))
		return
	}
	if n.Path != control.PathFailed && n.Path != control.PathSmallOnly {
		return
	}
	e.broken("peers", "data path", fmt.Sprintf("%s says of its own path to this host: %s", n.Text(), n.Path), fmt.Sprintf("run flanneld doctor on that host; let %s of this host pass for it", e.ownPort()))
}

// nodeText names a node: by its name, and by the beginning of its ID.
func nodeText(n control.Node) string { return control.NodeName{ID: n.ID, Name: n.Name}.Text() }

// some joins the first of some names, and counts the rest.
func some(names []string) string {
	if more := len(names) - namedPeers; more > 0 {
		names = append(names[:namedPeers:namedPeers], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// seconds is a duration for people.
func seconds(s control.Seconds) string {
	d := s.Duration()
	if d.Abs() >= 10e9 {
		return d.Round(1e9).String()
	}
	return d.Round(1e7).String()
}
