// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// TraceRequest asks to follow packets to an address of the overlay network.
type TraceRequest struct {
	Address netip.Addr `json:"address"`
	// Bridge is where packets go in; "": the first one that has addresses of
	// this node's lease.
	Bridge string `json:"bridge"`
}

// Stations of a trace, in the order of the way. "peer-bridge" is there only if
// the other node has said what it has seen.
var TraceStations = []string{"bridge", "kernel", "flanneld", "peer", "peer-bridge", "container"}

// Traced is how far packets came.
type Traced struct {
	Address  netip.Addr     `json:"address"`
	From     netip.Addr     `json:"from"`    // the source of the packets
	Bridge   string         `json:"bridge"`  // that they went into
	Node     NodeName       `json:"node"`    // that holds the subnet; empty: no node does
	Path     string         `json:"path"`    // by which packets go to it; "" for none
	Arrived  bool           `json:"arrived"` // and the answer came back
	Stations []TraceStation `json:"stations"`
	LastSeen string         `json:"last_seen"` // the last station that is proven
	Verdict  string         `json:"verdict"`   // one line
	Advice   string         `json:"advice"`    // what to type; "": nothing
	// Hints are problems of this node that can be the reason.
	Hints []Problem `json:"hints"`
}

// TraceStation is one station. A station without an answer of its own was
// passed where one behind it answered.
type TraceStation struct {
	Name   string  `json:"name"` // one of TraceStations
	Text   string  `json:"text"`
	Proven bool    `json:"proven"` // a packet was there
	RTT    Seconds `json:"rtt_seconds"`
}

// Check says what is wrong with a request.
func (r TraceRequest) Check() error {
	const deviceName = 15 // bytes: IFNAMSIZ less the zero
	switch {
	case !r.Address.IsValid():
		return errors.New("no address given")
	case !r.Address.Is4():
		return fmt.Errorf("%s is no IPv4 address: the overlay carries IPv4", r.Address)
	case len(r.Bridge) > deviceName:
		return fmt.Errorf("bridge %.40q: longer than %d bytes", r.Bridge, deviceName)
	}
	return nil
}

// Trace has the daemon follow packets to an address.
func (c *Client) Trace(ctx context.Context, r TraceRequest) (t Traced, err error) {
	return t, c.post(ctx, "/v1/trace", r, &t)
}
