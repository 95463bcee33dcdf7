// SPDX-License-Identifier: Apache-2.0

package page

// Meaning explains a kind of drops.
type Meaning struct {
	Means string `json:"means"`
	Do    string `json:"do"` // what to look at or to type; "": nothing is wrong
}

// Meanings explains the kinds of drops, as control.Status names them.
func Meanings() map[string]Meaning { return meanings }

var meanings = map[string]Meaning{
	"egress-too-short":            {"A packet that is shorter than an IP header.", "A program on this host writes malformed packets."},
	"egress-ipv6":                 {"An IPv6 packet. The overlay carries IPv4 only.", ""},
	"egress-not-ip":               {"A packet that is neither IPv4 nor IPv6.", "A program on this host writes malformed packets."},
	"egress-bad-length":           {"The lengths in the IP header do not fit the packet.", "A program on this host writes malformed packets."},
	"egress-bad-checksum":         {"The checksum of the IP header is wrong.", "A program on this host writes malformed packets."},
	"egress-foreign-source":       {"The source address is not in this host's subnet.", "Containers need addresses of this host's lease: compare `docker network inspect bridge` with `flanneld status`."},
	"egress-multicast":            {"Multicast and broadcast are not carried to other hosts.", ""},
	"egress-no-route":             {"No node holds a subnet with this destination. The sender gets an ICMP error.", "flanneld route get ADDRESS"},
	"egress-own-lease":            {"The destination is in this host's subnet, but no container or bridge has it.", "The container has gone, or its network is not up."},
	"egress-peer-unreachable":     {"The node that holds the destination is dead. The sender gets an ICMP error.", "flanneld nodes"},
	"egress-ttl-expired":          {"The packet has passed too many routers. traceroute causes some.", ""},
	"egress-needs-fragmentation":  {"Larger than the path takes, and not to be divided. The sender is told the right size.", "Containers should have the MTU that `flanneld docker-opts` names."},
	"egress-send-failed":          {"The kernel refused to send the datagram.", "Look at the underlay: `ip route get` to the other host, and its firewall."},
	"egress-send-buffer-full":     {"More is sent than the underlay takes.", "Nothing while it is rare: TCP sends slower. Else the underlay is the bottleneck."},
	"egress-no-session":           {"Sealed network: there was no session, and too many packets waited for one.", "flanneld nodes: SEALED says which node does not answer handshakes."},
	"ingress-too-short":           {"A datagram that is shorter than an IP header.", "Another program sends to this port."},
	"ingress-ipv6":                {"An IPv6 packet. The overlay carries IPv4 only.", ""},
	"ingress-not-ip":              {"A datagram without an IP packet in it.", "Another program sends to this port."},
	"ingress-bad-length":          {"The lengths in the IP header do not fit the datagram.", "Another program sends to this port, or the underlay damages packets."},
	"ingress-bad-checksum":        {"The checksum of the IP header is wrong.", "Another program sends to this port, or the underlay damages packets."},
	"ingress-too-large":           {"Larger than this host's overlay device takes.", "The sender has a larger MTU: compare `flanneld nodes` on both hosts."},
	"ingress-unknown-sender":      {"The datagram comes from an address that is no node's.", "A host that is not in this network sends here, or NAT changes a node's address: see --public-ip."},
	"ingress-foreign-source":      {"The inner source is not in the subnet of the node that sent it.", "A container there has a wrong address, or a host forges packets."},
	"ingress-foreign-destination": {"The destination is not in this host's subnet.", "The sender has an old node table; it mends itself. If it lasts: `flanneld nodes` on both hosts."},
	"ingress-congestion":          {"The underlay marked the packet as congested, and its transport does not understand marks.", ""},
	"ingress-receive-overflow":    {"Packets came faster than this host handles them.", "Look at the processor load of this host, and at --lanes."},
	"ingress-device-down":         {"The overlay device was down.", "flanneld puts it back. If it lasts, another program takes it down."},
	"ingress-write-failed":        {"The kernel refused the packet.", "Look at `dmesg` and at the state of the overlay device."},
	"ingress-not-sealed":          {"Sealed network: the datagram is not a sealed one.", "A host that is not in this network sends here."},
	"ingress-unknown-session":     {"Sealed network: this node does not have the session, or not any more.", "Nothing while it is rare: a node was restarted. Else a stranger sends here."},
	"ingress-replayed":            {"Sealed network: the datagram was accepted before, or comes too late.", "Nothing while it is rare. Else a host on the underlay sends copies."},
	"ingress-forged":              {"Sealed network: the datagram was changed on its way, or another host made it.", "A host on the underlay sends or changes datagrams, or the underlay damages them."},
	"ingress-session-expired":     {"Sealed network: the session of the datagram is over.", "The handshakes of the two nodes fail: `flanneld status` on both hosts."},
	"ingress-handshake-overflow":  {"Sealed network: too many messages of handshakes at once.", "A host on the underlay floods this one."},
}
