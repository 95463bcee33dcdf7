// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"time"
)

// ReachEachOther fails the test unless each pod gets an answer from every other
// one, within the limit for each.
func ReachEachOther(t TB, pods []*Pod, limit time.Duration) {
	t.Helper()
	for _, from := range pods {
		for _, to := range pods {
			if from != to {
				from.Reachable(t, to.Addr, limit)
			}
		}
	}
}

// UnderPings runs a move of a host from one program to another, under pings
// between its pod and all others, both ways, and of two others among
// themselves. It returns an error for each way that loses more than a second of
// pings, and one if the move disturbs the others.
func UnderPings(t TB, what string, h *Host, pods []*Pod, move func()) error {
	t.Helper()
	const every = 10 * time.Millisecond
	var moving *Pod
	var stays []*Pod
	for _, p := range pods {
		if p.Host == h {
			moving = p
		} else {
			stays = append(stays, p)
		}
	}
	pings := map[string]*Pinger{}
	for _, p := range stays {
		pings["to "+p.Host.NodeName] = moving.StartPinging(t, p.Addr, every)
		pings["from "+p.Host.NodeName] = p.StartPinging(t, moving.Addr, every)
	}
	aside := stays[0].StartPinging(t, stays[1].Addr, every)
	<-time.After(300 * time.Millisecond)
	move()
	<-time.After(500 * time.Millisecond)
	var wrong []error
	var longest time.Duration
	for way, p := range pings {
		c := p.Stop()
		if lost := time.Duration(c.Lost) * every; lost > time.Second {
			wrong = append(wrong, fmt.Errorf("%s of %s, pings %s: %v lost: %v", what, h.NodeName, way, lost, c))
		}
		longest = max(longest, c.Gap)
	}
	if c := aside.Stop(); c.Lost > 5 { // a busy machine loses some
		wrong = append(wrong, fmt.Errorf("%s of %s disturbs others: %v", what, h.NodeName, c))
	}
	t.Logf("%s of %s: longest gap %v", what, h.NodeName, longest)
	return errors.Join(wrong...)
}
