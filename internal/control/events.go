// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Kinds of events; see Event.
const (
	EventDaemon   = "daemon"    // started, stopped
	EventMember   = "member"    // up, dead, left, restarted, moved, roamed, forgotten
	EventLease    = "lease"     // claiming, waiting, confirmed, lost, held, released, conflict, settled
	EventPath     = "path"      // chosen, changed, lost
	EventRepair   = "repair"    // restored
	EventDrops    = "drops"     // began, ended
	EventProblem  = "problem"   // began, ended
	EventUnderlay = "underlay"  // moved
	EventKey      = "key"       // read, refused
	EventShortcut = "short-cut" // ready, gone; used, left: of a peer
)

// EventKinds are all kinds of events.
var EventKinds = []string{
	EventDaemon, EventMember, EventLease, EventPath, EventRepair, EventDrops, EventProblem, EventUnderlay, EventKey, EventShortcut,
}

// Event is something that has happened on this node, or that it has noticed of
// others. The same event soon again is the same entry, with a higher Count and
// a new Seq. Where many nodes have the same event within seconds, all but the
// first ones are one entry, with an empty Node.
type Event struct {
	ID    uint64    `json:"id"`  // of the entry: the Seq that it had first
	Seq   uint64    `json:"seq"` // grows with each entry and each repeat, also over restarts
	Time  time.Time `json:"time"`
	First time.Time `json:"first"` // before Time where Count is more than 1
	Count int       `json:"count"`

	Kind    string       `json:"kind"`
	What    string       `json:"what"`    // such as up or dead; the list stands at each kind
	Node    NodeName     `json:"node"`    // that it is about; empty: this one, or many
	Prefix  netip.Prefix `json:"prefix"`  // of the lease that it is about
	Path    string       `json:"path"`    // udp, direct, vxlan, ipip
	Subject string       `json:"subject"` // the part, the drop reason, the address; ""
	Text    string       `json:"text"`    // what happened, one line
	Why     string       `json:"why"`     // the reason, one line; "" where it is not known
}

// Events are events in the order of Seq.
type Events struct {
	Events []Event `json:"events"`
}

// MaxEventWait bounds how long a request for events can wait for the next one.
const MaxEventWait = 20 * time.Second

// maxEventWaits is how many requests wait for events at a time. They hold
// connections that other callers need.
const maxEventWaits = 8

// EventsQuery asks for the events with a higher Seq than After. Where there is
// none it waits up to Wait for one, at most MaxEventWait.
type EventsQuery struct {
	After uint64
	Wait  time.Duration
}

// decodeEvents reads the parameters of a request for events.
func decodeEvents(values url.Values) (q EventsQuery, err error) {
	if text := values.Get("after"); text != "" {
		if q.After, err = strconv.ParseUint(text, 10, 64); err != nil {
			return q, fmt.Errorf("after %.40q is not the seq of an event", text)
		}
	}
	if text := values.Get("wait"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 16)
		if err != nil || time.Duration(seconds)*time.Second > MaxEventWait {
			return q, fmt.Errorf("wait %.40q is not a number of seconds from 0 to %.0f", text, MaxEventWait.Seconds())
		}
		q.Wait = time.Duration(seconds) * time.Second
	}
	return q, nil
}

// Events asks for events.
func (c *Client) Events(ctx context.Context, q EventsQuery) (e Events, err error) {
	return e, c.get(ctx, fmt.Sprintf("/v1/events?after=%d&wait=%d", q.After, int(q.Wait.Seconds())), &e)
}
