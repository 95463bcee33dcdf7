// SPDX-License-Identifier: Apache-2.0

package control

// LeaseStates are the states of a lease; see Lease.State.
var LeaseStates = []string{"none", "joining", "claiming", "announcing", "confirmed", "lost"}

// ICMPAnswers counts the ICMP messages that dropped packets called for.
type ICMPAnswers struct {
	Sent       uint64 `json:"sent"`
	Suppressed uint64 `json:"suppressed"` // too many a second
	Failed     uint64 `json:"failed"`     // the device did not take them
}

// GossipTraffic is what gossip has sent and received since the start, without
// the headers of UDP, TCP and IP.
type GossipTraffic struct {
	DatagramsSent         uint64 `json:"datagrams_sent"`
	DatagramsReceived     uint64 `json:"datagrams_received"`
	DatagramBytesSent     uint64 `json:"datagram_bytes_sent"`
	DatagramBytesReceived uint64 `json:"datagram_bytes_received"`
	StreamBytesSent       uint64 `json:"stream_bytes_sent"`
	StreamBytesReceived   uint64 `json:"stream_bytes_received"`
	QueuedMessages        int    `json:"queued_messages"` // broadcasts that wait
	QueuedBytes           int    `json:"queued_bytes"`
	// Lag is how long what arrives waits for this node: 0 to 2 s. Others may
	// take a node that lags for dead.
	Lag Seconds `json:"lag"`
	// Dropped counts what was not taken in: malformed, of another network, or
	// more than there was room for.
	Dropped uint64 `json:"dropped"`
}

// Table is how full a table of this node is.
type Table struct {
	Name  string `json:"name"` // nodes, leases, forgotten, promises
	Used  int    `json:"used"`
	Limit int    `json:"limit"` // 0: there is none
}

// Thread is the operating system thread of a lane.
type Thread struct {
	Express  bool    `json:"express"` // of the lane for small flows
	CPU      Seconds `json:"cpu_seconds"`
	Policy   string  `json:"policy"`   // other, batch, rr (sched(7)); "": not known
	Priority int     `json:"priority"` // of policy rr, from 1 on
	Nice     int     `json:"nice"`     // of the other policies
}

// Probes is what was sent by one path to all peers to prove it, since the
// device was made, and what came of it.
type Probes struct {
	Path     string `json:"path"`
	Sent     uint64 `json:"sent"`
	Answered uint64 `json:"answered"`
	Lost     uint64 `json:"lost"` // not answered in time; the others are under way
	// RoundTrips counts the answers by their round trip, in ascending order of
	// the bounds. The last class has none.
	RoundTrips []RoundTrips `json:"round_trips"`
	RTT        Seconds      `json:"rtt_seconds"` // of all answers together
}

// RoundTrips is one class of answers.
type RoundTrips struct {
	UpTo  Seconds `json:"up_to_seconds"` // 0: no bound
	Count uint64  `json:"count"`         // more than the bound of the class before
}
