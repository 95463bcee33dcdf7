// SPDX-License-Identifier: Apache-2.0

package route

var reasonMeanings = [reasonCount]string{
	Forwarded:          "the packet was not dropped",
	TooShort:           "shorter than an IPv4 header",
	IPv6:               "the overlay carries IPv4 only",
	NotIP:              "not an IP packet",
	BadLength:          "a length in the IP header is wrong",
	BadChecksum:        "the checksum of the IP header is wrong",
	TooLarge:           "larger than this node's device takes: give both hosts the same --mtu",
	UnknownSender:      "the datagrams come from an address that is no node's endpoint: NAT on the way (see --public-ip), or a stranger",
	ForeignSource:      "the source is not in the sender's lease: restart dockerd there after flanneld has its lease",
	ForeignDestination: "the destination is not in this node's lease: the sender knows an older lease",
	Multicast:          "multicast and broadcast are not carried",
	NoRoute:            "no node holds the subnet: flanneld route get IP",
	OwnLease:           "the destination is in this node's lease, and no bridge has it",
	PeerUnreachable:    "the node that holds the subnet is dead",
	TTLExpired:         "the time to live has ended, as traceroute wants it: else a routing loop",
	NeedsFragmentation: "larger than the path takes; the sender was told so",
	SendFailed:         "the kernel refused the datagram: a rule of this host, or no route to the other host",
	SendBufferFull:     "the underlay took datagrams more slowly than they came",
	Congestion:         "marked on the way as congested",
	ReceiveOverflow:    "datagrams came faster than this host took them",
	DeviceDown:         "the overlay device is down: ip link set flannel0 up",
	WriteFailed:        "the kernel refused the packet",
}

// Meaning says in a few words what the reason means.
func (r Reason) Meaning() string {
	if r >= reasonCount {
		return ""
	}
	return reasonMeanings[r]
}
