// SPDX-License-Identifier: Apache-2.0

// Package trace follows packets from a bridge of this host to a container on
// another one. It sends echo requests with a rising time to live, as a
// container would, and each station where a request ends answers: this host's
// kernel, flanneld, the other host's kernel, the container. So a station that a
// packet has passed is proven by the packet, and hosts need no agreement: an
// older peer or a static one can be traced as well. A peer that is asked with a
// Question says what it has seen of the packets, which a Watcher there notes.
//
// The port to the bridge is handed in, and so is how a device is watched.
// Everything else here is pure or runs on that port, in virtual time in tests.
package trace
