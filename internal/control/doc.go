// SPDX-License-Identifier: Apache-2.0

// Package control is how the commands talk to the running daemon: JSON over
// HTTP on a Unix socket in the run directory.
//
//	GET  /v1/status               Status
//	GET  /v1/nodes                Nodes
//	GET  /v1/route?address=IP     Route
//	GET  /v1/events?after=SEQ&wait=SECONDS  Events
//	POST /v1/join    JoinRequest  Joined
//	POST /v1/leave                Left
//	POST /v1/forget  ForgetRequest  Node
//	POST /v1/ping    PingRequest  Pinged
//	POST /v1/examine              Examined
//	POST /v1/trace   TraceRequest Traced
//
// A request that is refused is answered with Refusal and a status of 400 (it
// makes no sense), 403 (the caller may not), 409 (the daemon says no), or what
// HTTP has for the case.
//
// The types below are also what `-o json` prints. They are stable: fields are
// added, never renamed, removed, or given another meaning. Fields are always
// there; an unknown value is "", 0, null or an empty list. Durations are in
// seconds, sizes in bytes, addresses and prefixes as people write them.
//
// A user that may connect (root, the daemon's own user, members of the socket's
// group) may do everything. Connections, sizes and times are limited all the
// same, so that a misbehaving caller costs the daemon nothing.
package control
