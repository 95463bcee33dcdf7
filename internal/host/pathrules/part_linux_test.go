// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"net"
	"net/netip"
	"testing"
)

// A neighbor that is looked up again keeps its address, at the same endpoint.
func TestNeighborsAreNotForgottenWhileTheyAreLookedUp(t *testing.T) {
	p := NewPart("flannel0", 0)
	c := testConfig()
	p.Want(&c)
	peer := testPeer(2, 24)
	now := func(when string, change func(*Peer), want net.HardwareAddr) {
		t.Helper()
		change(&peer)
		p.SetPeers([]Peer{peer, testPeer(3, 24)})
		_, all, _ := p.wanted()
		if len(all) != 2 || all[0].MAC.String() != want.String() {
			t.Errorf("%s: %v, want %v", when, all[0].MAC, want)
		}
		if p.peers[0].MAC.String() != peer.MAC.String() {
			t.Errorf("%s: what was set has changed", when)
		}
	}
	now("not known yet", func(p *Peer) { p.MAC = nil }, nil)
	now("known", func(p *Peer) { p.MAC = mac(2, 2) }, mac(2, 2))
	now("looked up again", func(p *Peer) { p.MAC = nil }, mac(2, 2))
	now("and again", func(p *Peer) {}, mac(2, 2))
	now("another card", func(p *Peer) { p.MAC = mac(2, 7) }, mac(2, 7))
	now("the peer moves", func(p *Peer) { p.MAC, p.Endpoint = nil, addr("192.0.2.77") }, nil)
	now("no direct path", func(p *Peer) { p.MAC, p.Direct = mac(2, 8), false }, mac(2, 8))
	now("direct again", func(p *Peer) { p.MAC, p.Direct = nil, true }, nil)

	// From an earlier process the endpoint is not known.
	p.macs = map[netip.Prefix]neighbor{peer.Prefix: {mac: mac(2, 9)}}
	now("after a restart", func(*Peer) {}, mac(2, 9))
	c.Direct = false
	p.Want(&c)
	now("without direct", func(p *Peer) {}, nil)
}

func TestTableIsInPlaceWhenItIsWhatWasWantedLast(t *testing.T) {
	p := NewPart("flannel0", 0)
	if p.InPlace() {
		t.Error("before anything is wanted")
	}
	none := Config{}
	p.Want(&none)
	p.done = true
	p.Want(&none)
	if !p.InPlace() {
		t.Error("the same is wanted again")
	}
	c := testConfig()
	p.Want(&c)
	if p.InPlace() {
		t.Error("something else is wanted")
	}
	p.done = true
	p.Want(nil)
	if p.InPlace() {
		t.Error("nothing is wanted any more")
	}
	p.Want(&c)
	if p.InPlace() {
		t.Error("it is wanted again, and was not looked at")
	}
}
