// SPDX-License-Identifier: Apache-2.0

// Package route forwards packets: it finds the next hop of each and runs the
// lanes between the overlay edge (tun) and the underlay edge (encap).
//
//	            egress, one table snapshot a batch
//	tun.Queue ------------------------------------------> encap.Conn
//	          read  decide  answer or fragment  send many
//
//	            ingress, one table snapshot a batch
//	tun.Queue <------------------------------------------ encap.Conn
//	          write                      admit     receive many
//
// A lane is one queue and one socket with these two directions, which take
// turns. It has an operating system thread to itself and owns its buffers;
// lanes share only the table, which is an immutable snapshot behind an atomic
// pointer, counters, which are added to once a batch, and a meter that tells
// bulk flows from sparse ones, which have a lane of their own. So nothing a
// lane does waits for another goroutine, and a table change waits for no lane.
//
// Routes come from above. The caller stores the whole set in a Feed, which
// reports each route that was added, changed or removed to its sinks:
//
//	Feed.Store(all routes) --- differences ---> Table, which the lanes read
//	                                       \--> other Sinks, such as kernel paths
//
// What is decided about a packet is a pure function of the packet and the
// snapshot, and is named by a Reason when the packet is dropped.
package route
