// Package daemon is `flanneld run`: it puts the parts together, in order, and
// keeps them together until it is told to stop.
//
//	privilege, underlay          may we, and where do datagrams leave
//	state directory              locked: a second daemon is refused before it touches anything
//	data sockets, control socket a taken port or run directory is found before anybody is told about us
//	peers                        gossip, and the lease; may take long, and status says what it waits for
//	plane                        device, address, route, forwarder, firewall rules; then the files, then READY=1
//
// One goroutine, the one in Run, decides: it reacts to snapshots of the node
// table, the end of the forwarder, requests, and signals. Beside it run peers,
// the control server, the forwarder with its threads, and the guard. The guard
// restores what other programs took away: device and files, firewall rules, and
// the table in front of the ports, each in a goroutine of its own. The guard
// also names what it must not change. Nothing waits for the guard but a first
// start.
//
// With a lease from an earlier start nothing slow lies between exec and
// forwarding: no name is resolved and no seed is asked before.
package daemon
