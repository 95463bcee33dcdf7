// SPDX-License-Identifier: Apache-2.0

//go:build !race

package peers

import (
	"sync/atomic"
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

// A host without a free processor gets to a datagram late. The nodes of such
// hosts agree all the same, and do not keep each other busy with questions.
func TestNodesOfBusyHostsAgree(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 7, extent("FLANNELD_VIRTUAL_NODES", 40))
		c.net.occupy(8 * time.Millisecond)
		c.startAll()
		t.Logf("tables are equal after %v more", c.converge(2*time.Minute).Round(100*time.Millisecond))
		time.Sleep(10 * time.Second) // what is under way ends
		const watched = 30 * time.Second
		before, alive := c.net.traffic(), 0
		for range int(watched / time.Second) {
			time.Sleep(time.Second)
			if alike(c.hosts, len(c.hosts)) {
				alive++
			}
		}
		each := float64(c.net.traffic()-before) / watched.Seconds() / float64(len(c.hosts))
		t.Logf("each sends %.0f bytes/s; for %d of %v all were up everywhere", each, alive, watched)
		if each > 8_000 || alive < 25 {
			t.Error("the nodes keep each other busy")
		}
		c.net.occupy(0)
		c.converge(healTime)
		c.end()
	})
}

// However many nodes miss one, together they ask it a bounded number of times.
func TestANodeThatIsMissedIsAskedByAllTogether(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 8, extent("FLANNELD_VIRTUAL_NODES", 40))
		c.begin()
		missed, others := c.hosts[len(c.hosts)-1], c.hosts[:len(c.hosts)-1]
		missed.stop() // it keeps its lease, and others look for it
		for _, h := range others {
			h.sees(missed, Dead)
		}
		time.Sleep(10 * time.Second)
		socket, err := c.net.ListenUDP(missed.endpoint())
		if err != nil {
			t.Fatal(err)
		}
		var questions atomic.Int64
		go func() {
			for b := make([]byte, 2000); ; {
				n, _, _, err := socket.Read(b)
				if err != nil {
					return
				}
				if n > wire.EnvelopeSize && b[wire.EnvelopeSize] == wire.TypeQuestion {
					questions.Add(1)
				}
			}
		}()
		const watched = 60 * time.Second
		time.Sleep(watched)
		socket.Close()
		each := float64(questions.Load()) / watched.Seconds()
		t.Logf("%d nodes ask it %.1f times a second", len(others), each)
		if want := lookTogether / lookEvery.Seconds(); each < want/2 || each > 1.5*want {
			t.Errorf("it should be about %.0f", want)
		}
		missed.start()
		c.converge(healTime)
		c.end()
	})
}
