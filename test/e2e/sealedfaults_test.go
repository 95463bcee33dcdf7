// SPDX-License-Identifier: Apache-2.0

//go:build e2e && sealed

package e2e

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// Loss, copies and overtaking begin before the first handshake. Copies are
// refused, and nothing else is: what arrives late is still within the window.
func TestSealedTrafficOverABadUnderlay(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	relay := l.Relay(h1, lab.Mischief{Loss: 100, Duplication: 50, Reordering: 50, Seed: 1})
	p1, p2 := sealedDuo(t, l, h1, h2, ready)
	const volume = 5e6
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), volume)
	lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), volume)
	datagramsOverABadUnderlay(t, p1, p2)
	done := relay.Count()
	if min(done.Lost, done.Doubled, done.Overtaken) < 20 {
		t.Errorf("hardly any mischief: %+v", done)
	}
	var replayed uint64
	for _, h := range []*lab.Host{h1, h2} {
		drops := h.Status().Drops
		replayed += drops["ingress-replayed"]
		for _, reason := range []string{"forged", "not-sealed", "session-expired", "unknown-session", "foreign-source"} {
			if n := drops["ingress-"+reason]; n > 0 {
				t.Errorf("%s dropped %d datagrams: %s", h.NodeName, n, reason)
			}
		}
	}
	// A message of a handshake can be among the copies.
	if copies := uint64(done.Doubled); replayed > copies || replayed < copies-copies/10-5 {
		t.Errorf("of %d copies %d were refused", copies, replayed)
	}
}

// A clone has the identity, the keys and the start numbers of the original.
func TestCloneOfASealedHostTakesNoSession(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, clone := l.Host(), l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, 5*time.Second)
	copyState(t, h2, clone)
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	before := session(t, h1, h2)
	refusedDaemon(t, clone, startSealed(clone, h1), 1, "identity")
	talk.GoesOn(t, 5*time.Second, 20)
	if err := talk.Stop(); err != nil {
		t.Error(err)
	}
	if after := session(t, h1, h2); after.Start != before.Start {
		t.Errorf("the session is with start %d, it was with %d", after.Start, before.Start)
	}
}

// copyState gives a host the state directory of another one.
func copyState(t *testing.T, from, to *lab.Host) {
	t.Helper()
	to.Exec(t, "sh", "-c", "rm -rf "+to.StateDir+"/* && cp -a "+from.StateDir+"/. "+to.StateDir+"/ && rm -f "+to.StateDir+"/lock")
}

// Peers remember the start number of a host and refuse handshakes with a lower
// one. A state directory from a backup has a lower one.
func TestSealedHostComesBackWithAnOlderStateDirectory(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, backup := l.Host(), l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, 5*time.Second)
	h2.Daemon.Stop()
	copyState(t, h2, backup)
	for range 2 {
		startSealed(h2, h1).WaitReady(ready)
		p1.Reachable(t, p2.Addr, 10*time.Second)
		h2.Daemon.Stop()
	}
	copyState(t, backup, h2)
	startSealed(h2, h1).WaitReady(ready)
	p1.Reachable(t, p2.Addr, 20*time.Second)
	p2.Reachable(t, p1.Addr, 5*time.Second)
}

// A host that moves announces its endpoint in its signed record. Its sessions
// go on: the keys are those of the node, not of the address.
func TestSealedHostMovesAndKeepsItsSessions(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, 5*time.Second)
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	readdress(t, h2, "192.168.50.72")
	lab.Eventually(t, ready, "host1 to know the new endpoint", func() error {
		nodes, err := h1.Nodes()
		if err != nil {
			return err
		}
		n := nodes.Find(h2.NodeName)
		return lab.Expect(n.Endpoint == "192.168.50.72:8285" && n.Sealed.State == "session", "it is %+v", n)
	})
	talk.GoesOn(t, 10*time.Second, 20)
	if err := talk.Stop(); err != nil {
		t.Error(err)
	}
}
