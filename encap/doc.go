// Package encap is the underlay edge: the UDP sockets that carry overlay packets
// between nodes, a batch of datagrams a system call.
//
// On the wire, the payload of a datagram is one raw overlay IP packet, with
// nothing in front of it and nothing behind: what flannel's udp backend sends.
// The package does not look into it.
//
// A Conn belongs to one lane. Lanes share the local port (SO_REUSEPORT); the
// kernel spreads senders, by address and port, over them and keeps a sender in
// its lane. So a Conn sends from several ports of its own, its sources; from one
// of them what the receiver is to take ahead of the rest, in its express lane.
//
// The package knows nothing of devices, peers, or routes. Its sockets exist on
// Linux only; elsewhere the package builds and Listen says so.
package encap
