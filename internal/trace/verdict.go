// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"net/netip"
	"time"

	"flanneld/internal/packet"
)

// Ground is what this node knows of the way.
type Ground struct {
	Bridge  string       // that the packets go into
	Gateway netip.Addr   // its address
	Lease   netip.Prefix // of this node
	Device  string       // the overlay device
	To      netip.Addr
	Node    string // that holds the subnet of To; "": no node does
	Name    string // of that node, as commands take it
	// Shortcut: the kernel can carry the packets of the path udp, so that
	// flanneld itself sees only the one with a time to live that ends there.
	Shortcut bool
	Path     string // by which packets go to it: udp, direct, vxlan, ipip; "": none
	Reason   string // why, as the plan has it
	// Sight is what Node has seen of the packets; nil: it was not asked, or has
	// not answered.
	Sight *Sight
}

// Places are the stations, in the order of the way.
type Place int

// The stations.
const (
	Bridge     Place = iota // of this host
	Kernel                  // of this host
	Flanneld                // on this host; packets by kernel paths do not pass it
	Peer                    // the kernel of the other host
	PeerBridge              // of the other host; there is such a station only with a Sight
	Container               // at the end
)

// Station is one place on the way, and whether packets reached it.
type Station struct {
	Place  Place
	Text   string
	Proven bool          // it answered, or one behind it
	After  time.Duration // round trip of its answer; 0: it did not answer itself
}

// Story is what a trace has found.
type Story struct {
	Stations []Station
	Arrived  bool
	Last     Place  // the last station that is proven
	Verdict  string // one line
	Advice   string // what to type; "": nothing
}

// Tell makes sense of the answers.
func (g Ground) Tell(r Result) Story {
	s := Story{Stations: g.stations(r)}
	answered := map[Place]Answer{}
	for _, a := range r.Answers {
		p := g.place(a.From)
		if old, twice := answered[p]; !twice || a.Kind != packet.ICMPTimeExceeded && old.Kind == packet.ICMPTimeExceeded {
			answered[p] = a
		}
		s.Last = max(s.Last, p)
	}
	s.Last = max(s.Last, g.Sight.last())
	for i := range s.Stations {
		one := &s.Stations[i]
		one.Proven = one.Place <= s.Last
		if a, ok := answered[one.Place]; ok {
			one.After = a.After
		}
	}
	final, decided := refusal(r)
	switch {
	case decided && final.Kind == packet.ICMPEchoReply:
		s.Arrived = true
		s.Verdict = fmt.Sprintf("arrived: %s answers after %v", g.To, final.After.Round(10*time.Microsecond))
	case decided && final.From == g.To:
		s.Arrived = true
		s.Verdict = fmt.Sprintf("arrived: %s does not take pings, and says so", g.To)
	case decided:
		s.Verdict, s.Advice = g.refused(g.place(final.From), final)
	case g.Sight != nil && s.Last >= Peer:
		s.Verdict, s.Advice = g.seen(s.Last)
	default:
		s.Verdict, s.Advice = g.silent(s.Last)
		if g.Sight != nil && s.Last > Bridge {
			s.Verdict += fmt.Sprintf("; %s, which was asked, has not had it", g.Node)
		}
	}
	return s
}

// refusal is the answer that decides: that of the container or, without one,
// the message of a station that refuses the packet.
func refusal(r Result) (a Answer, ok bool) {
	for _, a := range r.Answers {
		if a.Kind != packet.ICMPTimeExceeded {
			return a, true
		}
	}
	return a, false
}

// place tells which station an answer comes from, by its address.
func (g Ground) place(from netip.Addr) Place {
	switch {
	case from == g.To:
		return Container
	case from == g.Lease.Masked().Addr(): // the overlay device's, as flanneld answers
		return Flanneld
	case from == g.Gateway, g.Lease.Contains(from):
		return Kernel
	}
	return Peer
}

// stations are those on the way.
func (g Ground) stations(r Result) []Station {
	all := []Station{
		{Place: Bridge, Text: fmt.Sprintf("sent into %s, as a container with %s", g.Bridge, r.From)},
		{Place: Kernel, Text: "this host routes it"},
	}
	if g.Node == "" {
		return append(all, Station{Place: Flanneld, Text: fmt.Sprintf("flanneld has it from %s", g.Device)})
	}
	if !g.byKernel() {
		text := fmt.Sprintf("flanneld has it from %s, for %s", g.Device, g.Node)
		if g.Shortcut {
			text += "; most packets are carried in the kernel (short-cut)"
		}
		all = append(all, Station{Place: Flanneld, Text: text})
	}
	all = append(all, Station{Place: Peer, Text: fmt.Sprintf("the kernel of %s has it, by %s", g.Node, orNone(g.Path))})
	if g.Sight != nil && g.Sight.Bridge != "" {
		all = append(all, Station{Place: PeerBridge, Text: fmt.Sprintf("%s sends it into %s", g.Node, g.Sight.Bridge)})
	}
	return append(all, Station{Place: Container, Text: fmt.Sprintf("%s answers", g.To)})
}

// last is the last station that a Sight proves.
func (s *Sight) last() Place {
	switch {
	case s == nil:
		return Bridge
	case s.Answered, s.Returned:
		return Container
	case s.Left:
		return PeerBridge
	case s.Came:
		return Peer
	}
	return Bridge
}

func (g Ground) byKernel() bool { return g.Path != "udp" && g.Path != "" }

func orNone(path string) string {
	if path == "" {
		return "no path"
	}
	return path
}

// Codes of ICMP unreachable (RFC 792, RFC 1812).
const (
	netUnreachable  = 0
	hostUnreachable = 1
)

// refused explains a message of ICMP unreachable.
func (g Ground) refused(at Place, a Answer) (verdict, advice string) {
	rejects := "a rule of %s rejects it (ICMP unreachable, code %d, from %s)"
	const look = "look for the rule %s: nft list ruleset; iptables-save; iptables-legacy-save"
	switch {
	case at == Peer && a.Code == hostUnreachable:
		return fmt.Sprintf("the packet reached %s, but nothing there has the address: the container is down, or has another address", g.Node),
			fmt.Sprintf("on %s: docker ps; ip neigh show %s", g.Name, g.To)
	case at == Peer && a.Code == netUnreachable:
		return fmt.Sprintf("%s has no route to %s: no bridge there has the subnet", g.Node, g.To),
			fmt.Sprintf("on %s: restart the container runtime with its lease (systemctl restart docker); ip route get %s", g.Name, g.To)
	case at == Peer:
		return fmt.Sprintf(rejects, g.Node, a.Code, a.From), fmt.Sprintf(look, "on "+g.Name)
	case at == Flanneld && g.Node == "":
		return fmt.Sprintf("no node holds a subnet with %s", g.To), "compare with flanneld nodes: the address may be wrong"
	case at == Flanneld:
		return fmt.Sprintf("flanneld does not reach %s: %s", g.Node, g.Reason), "flanneld nodes"
	case a.Code == netUnreachable, a.Code == hostUnreachable:
		return fmt.Sprintf("this host has no route to %s", g.To), fmt.Sprintf("ip route get %s from %s iif %s", g.To, a.From, g.Bridge)
	}
	return fmt.Sprintf(rejects, "this host", a.Code, a.From), fmt.Sprintf(look, "between "+g.Bridge+" and "+g.Device)
}

// seen explains that nothing came back, with what the other host has seen.
func (g Ground) seen(last Place) (verdict, advice string) {
	rules := fmt.Sprintf("on %s: flanneld status; nft list ruleset; iptables-save; iptables-legacy-save", g.Name)
	at, node := g.Sight.Bridge, g.Node
	switch {
	case last == Container && g.Sight.Returned:
		return fmt.Sprintf("%s answers, and %s has sent the answer on its way: it is lost between %s and %s of this host", g.To, node, node, g.Bridge),
			fmt.Sprintf("flanneld doctor; flanneld ping %s; nft list ruleset; iptables-save; iptables-legacy-save", g.Name)
	case last == Container && g.Sight.Blind:
		return fmt.Sprintf("%s answers, and the answer came into %s of %s: a rule of the chain FORWARD there drops it, or it is lost on the way back", g.To, at, node), rules
	case last == Container:
		return fmt.Sprintf("%s answers, and the answer came into %s of %s, which does not send it on: a rule of the chain FORWARD there drops it, or a route leads elsewhere", g.To, at, node), rules
	case last == PeerBridge:
		return fmt.Sprintf("%s has sent it into %s, and %s does not answer: the container does not take pings, or has no route back", node, at, g.To),
			fmt.Sprintf("try its service instead of pings; in the container: ip route; on %s: ip neigh show %s", g.Name, g.To)
	case at == "":
		return fmt.Sprintf("%s has it, and no bridge there has the subnet of %s", node, g.To),
			fmt.Sprintf("on %s: restart the container runtime with its lease (systemctl restart docker); ip route get %s", g.Name, g.To)
	}
	return fmt.Sprintf("lost on %s, between its routing and %s: a rule of the chain FORWARD there drops it", node, at), rules
}

// silent explains that nothing came back from behind a station.
func (g Ground) silent(last Place) (verdict, advice string) {
	const look = "nft list ruleset; iptables-save; iptables-legacy-save"
	switch {
	case last == Bridge:
		return fmt.Sprintf("lost between %s and the routing of this host: forwarding is off, or a rule drops it", g.Bridge),
			"sysctl net.ipv4.ip_forward; flanneld status; " + look
	case last == Kernel && g.byKernel():
		return fmt.Sprintf("lost between the routing of this host and the kernel of %s: a rule of this host drops it, or the path by %s", g.Node, g.Path),
			fmt.Sprintf("flanneld ping %s; %s", g.Name, look)
	case last == Kernel:
		return fmt.Sprintf("lost on this host, between %s and %s: a rule of the chain FORWARD drops it, or a route leads elsewhere", g.Bridge, g.Device),
			fmt.Sprintf("flanneld route get %s; %s", g.To, look)
	case last == Flanneld && g.Node == "":
		return fmt.Sprintf("flanneld has it, and no node holds a subnet with %s", g.To), "flanneld nodes"
	case last == Flanneld:
		return fmt.Sprintf("lost between this flanneld and the kernel of %s: the underlay does not carry it, or flanneld there refuses it", g.Node),
			fmt.Sprintf("flanneld ping %s; open the UDP port of %s (8285) for this host; there: flanneld status (drops)", g.Name, g.Name)
	}
	return fmt.Sprintf("lost on %s, behind its routing: a rule of the chain FORWARD there drops it, no bridge there has the subnet, or the container does not answer pings", g.Node),
		fmt.Sprintf("on %s: flanneld status; ip route get %s; %s", g.Name, g.To, look)
}
