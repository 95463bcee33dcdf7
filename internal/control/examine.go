// SPDX-License-Identifier: Apache-2.0

package control

import "net/netip"

// MaxExamined is how many nodes one request examines.
const MaxExamined = 64

// Examined is what other nodes answered to an examination: by UDP and by TCP of
// the gossip port, in both directions.
type Examined struct {
	Nodes []ExaminedNode `json:"nodes"` // those that are not alive first
	Of    int            `json:"of"`    // how many there are; at most MaxExamined were asked
}

// ExaminedNode is what one node answered.
type ExaminedNode struct {
	NodeName
	State string `json:"state"` // as in Node
	// Answered is false where no answer has come. An older flanneld does not
	// know the question.
	Answered bool `json:"answered"`
	// UDPThere and TCPThere: the question has arrived. They are known only
	// where some answer has come.
	UDPThere bool `json:"udp_there"`
	UDPBack  bool `json:"udp_back"`
	TCPThere bool `json:"tcp_there"`
	TCPBack  bool `json:"tcp_back"`
	// Dial is why no TCP connection could be opened; "": one was.
	Dial    string `json:"dial"`
	Version string `json:"version"` // of its flanneld; "": not known
	// Path is the state of the data path to this node, as that node sees it.
	Path string `json:"path"`
	// Stray is the address from which packets of this node have come to that
	// one, as in Node.
	Stray netip.Addr `json:"stray"`
	// ClockAhead is how far its clock is ahead of this one, negative behind.
	// ClockWithin is how exact that is; 0: not measured.
	ClockAhead  Seconds `json:"clock_ahead_seconds"`
	ClockWithin Seconds `json:"clock_within_seconds"`
}
