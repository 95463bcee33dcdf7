// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// talk is traffic between two hosts, over their own addresses in the overlay,
// that a fault elsewhere must not disturb.
type talk struct {
	from, to *lab.Host
	stream   *lab.Conversation
	pings    *lab.Pinger
}

const pingEvery = 20 * time.Millisecond

func converse(t *testing.T, hosts []*lab.Host, pairs [][2]int) []talk {
	t.Helper()
	var talks []talk
	for i, p := range pairs {
		from, to := hosts[p[0]], hosts[p[1]]
		from.Reachable(t, to.Lease().Addr(), 5*time.Second)
		talks = append(talks, talk{from, to,
			lab.Converse(t, from.Namespace, to.Namespace, at(to.Lease().Addr(), uint16(7001+i))),
			from.StartPinging(t, to.Lease().Addr(), pingEvery),
		})
	}
	return talks
}

// moment is how long traffic may be interrupted between nodes that reach each
// other, whatever other nodes report about them.
const moment = time.Second

// inTouch ends the talks, which must not have been interrupted for more than
// a moment, or broken.
func inTouch(t *testing.T, talks []talk) {
	t.Helper()
	for _, k := range talks {
		c := k.pings.Stop()
		if c.Gap > moment || len(c.Errors) != 0 {
			t.Errorf("traffic from %s to %s was disturbed: %v", k.from.NodeName, k.to.NodeName, c)
		} else if c.Gap > 100*time.Millisecond {
			t.Logf("traffic from %s to %s: %v", k.from.NodeName, k.to.NodeName, c)
		}
		if err := k.stream.Stop(); err != nil {
			t.Errorf("the connection from %s to %s broke: %v", k.from.NodeName, k.to.NodeName, err)
		}
	}
}

// allReachEachOther fails the test unless each host gets an answer from every
// other through the overlay.
func allReachEachOther(t *testing.T, hosts []*lab.Host) {
	t.Helper()
	for _, from := range hosts {
		for _, to := range hosts {
			if from != to {
				from.Reachable(t, to.Lease().Addr(), 10*time.Second)
			}
		}
	}
}
