// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// readyWithin bounds a start or a restart under attack.
const readyWithin = 20 * time.Second

// TestFalseDuplicatesStopNoNode tells every node that another process with its
// identity is at work. A cloned host stops for that reason. Then a node is
// restarted, and a new one joins.
func TestFalseDuplicatesStopNoNode(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.learn(t)
	leases := f.leases()
	stop := f.impersonate()
	f.hosts[2].Daemon.Stop()
	f.hosts[2].Start("--join", f.hosts[0].Addr.String()).WaitReady(readyWithin)
	newcomer := f.lab.Host()
	newcomer.Start("--join", f.hosts[0].Addr.String()).WaitReady(readyWithin)
	time.Sleep(3 * time.Second)
	for _, h := range append(f.hosts, newcomer) {
		if h.Daemon.Ended() {
			t.Errorf("%s has stopped:\n%s", h.NodeName, h.Daemon.Log())
		}
	}
	stop()
	f.healthy(t, leases)
}

// impersonate announces duplicates of all members that it can learn of. It uses
// their names and those of later starts, the stranger's address and their own,
// and invented and replayed meta.
func (f *field) impersonate() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			r, err := f.stranger.Exchange(f.hosts[0].Addr, nil, nil)
			if err != nil {
				continue
			}
			for _, m := range r.members {
				f.duplicate(m)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (f *field) duplicate(m memberState) {
	id, start, err := parseMemberName(m.Name)
	if err != nil || len(m.Meta) < metaNetwork {
		return
	}
	for _, start := range []uint64{start, start + 1, start + 1000} {
		name := memberName(id, start)
		for _, at := range []netip.AddrPort{f.stranger.Endpoint(), addrOf(m)} {
			invented := memberMeta{
				public: m.Meta[metaPublic : metaPublic+ed25519.PublicKeySize], start: start, instance: rand.Uint64(),
				network: f.network, prefix: f.prefix, at: at, flags: metaSettled,
			}.encode(f.stranger.Key)
			for _, h := range f.lab.Hosts() {
				_ = f.stranger.Say(h.Addr, aliveMessage(name, at, m.Incarnation+1, invented))
				_ = f.stranger.Say(h.Addr, aliveMessage(name, at, m.Incarnation+1, m.Meta))
			}
		}
	}
}
