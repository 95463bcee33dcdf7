// SPDX-License-Identifier: Apache-2.0

// Package daemon is `flanneld run`: it puts the parts together, in order, and
// keeps them together until it is told to stop.
//
//	privilege, underlay          what the kernel grants; the way out
//	state directory              locked: a second daemon touches nothing
//	data sockets, control socket a taken port is found before gossip begins
//	peers                        gossip, and the lease; may take long
//	guard                        the table in front of the ports
//	plane                        device, forwarder, rules; files; READY=1
//
// One goroutine, the one in Run, decides: it reacts to snapshots of the node
// table, the end of the forwarder, requests, and signals. Beside it run peers,
// the control server, the forwarder with its threads, and the guard, which
// restores what other programs took away from the host. Nothing waits for the
// guard but a first start.
//
// With a lease from an earlier start nothing slow lies between exec and
// forwarding: no name is resolved and no seed is asked before.
package daemon
