// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/host/nft"
	"flanneld/internal/problem"
)

// Part is the checks of kernel paths as a part of the host.
type Part struct {
	device string
	table  *table
	// changed has capacity one: Unavailable answers something else.
	changed chan struct{}

	mu    sync.Mutex // guards what follows
	want  *Config    // nil: not known yet
	peers []Peer
	set   bool   // SetPeers was called
	why   string // the last Ensure failed so; "" it did not
	done  bool   // the last Ensure did what the last Want has set
	// macs are the last known ones of direct peers; nil: those of an earlier
	// process were not read yet.
	macs map[netip.Prefix]neighbor
}

// neighbor is what is known of a direct peer.
type neighbor struct {
	mac      net.HardwareAddr
	endpoint netip.Addr // zero: not known
}

// NewPart makes the part for an overlay device. uid is the daemon's user, which
// may send beside root. Nothing is changed before Ensure.
func NewPart(device string, uid uint32) *Part {
	return &Part{device: device, table: newTable(TableName(device), uid), changed: make(chan struct{}, 1)}
}

// Want sets which paths are in use; nil: not known. The next Ensure does it. A
// configuration without any path takes the table away. Before the first
// SetPeers the peers of an earlier process go on.
func (p *Part) Want(c *Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c == nil {
		p.want, p.done = nil, false
		return
	}
	p.done = p.done && *p.want == *c
	want := *c
	p.want = &want
}

// Wanted returns the configuration of the last Want; nil: not known.
func (p *Part) Wanted() *Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.want == nil {
		return nil
	}
	c := *p.want
	return &c
}

// SetPeers sets the peers that are let in. The next Ensure does it, and changes
// only the keys that differ. A direct peer without a known MAC address keeps
// the one that it had at this endpoint, also in an earlier process: a neighbor
// may be looked up again while its packets come. The peers are not to be
// changed afterwards.
func (p *Part) SetPeers(peers []Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers, p.set = slices.Clone(peers), true
}

// Unavailable says why this host cannot check what comes by kernel paths, so
// that it must not take part in one; "" after an Ensure without an error.
func (p *Part) Unavailable() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// Changed signals, on a channel of capacity one, that Unavailable answers
// something else than before.
func (p *Part) Changed() <-chan struct{} { return p.changed }

// InPlace reports whether the table is what was wanted last, but for its peers:
// then kernel paths may be used.
func (p *Part) InPlace() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// wanted returns what was set; known: the peers were.
func (p *Part) wanted() (c *Config, peers []Peer, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want, p.complete(), p.set
}

// complete fills in MAC addresses that are not known at the moment. p.mu is
// held.
func (p *Part) complete() []Peer {
	if p.want == nil || !p.want.Direct || !p.set {
		return p.peers
	}
	if p.macs == nil {
		p.macs = map[netip.Prefix]neighbor{}
		for prefix, mac := range p.table.neighbors() {
			p.macs[prefix] = neighbor{mac: mac}
		}
	}
	all, now := slices.Clone(p.peers), map[netip.Prefix]neighbor{}
	for i, peer := range all {
		if !peer.Direct {
			continue
		}
		last := p.macs[peer.Prefix]
		if len(peer.MAC) == 0 && (last.endpoint == peer.Endpoint || !last.endpoint.IsValid()) {
			all[i].MAC = last.mac
		}
		now[peer.Prefix] = neighbor{all[i].MAC, peer.Endpoint}
	}
	p.macs = now
	return all
}

// Device is the overlay device that NewPart was given.
func (p *Part) Device() string { return p.device }

// Name is "path rules".
func (*Part) Name() string { return problem.PartPathRules }

// Ensure puts the table in place, in one transaction. Without it every host of
// the underlay could send into the overlay, so that a failure is a problem.
func (p *Part) Ensure(context.Context) ([]string, error) {
	c, peers, known := p.wanted()
	if c == nil {
		return nil, nil
	}
	changes, err := p.ensure(*c, peers, known)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.why
	p.why = ""
	if err != nil {
		p.why = err.Error()
	}
	if p.why != before {
		host.Poke(p.changed)
	}
	p.done = err == nil && p.want != nil && *p.want == *c
	if err != nil {
		return changes, host.Advise(
			fmt.Errorf("kernel paths are not used, because what comes by them cannot be checked: %w", err),
			nft.Advice(err, "load the kernel's nf_tables (modprobe nf_tables), of Linux 5.7 or newer, or use --backend udp"))
	}
	return changes, nil
}

func (p *Part) ensure(c Config, peers []Peer, known bool) ([]string, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.Wants() {
		removed, err := p.table.remove()
		if !removed {
			return nil, err
		}
		return []string{fmt.Sprintf("table ip %s removed", TableName(p.device))}, nil
	}
	if err := c.validate(peers); err != nil {
		return nil, err
	}
	return p.table.ensure(c, peers, known)
}

// Check returns what another program has changed. A process that did not write
// the table only checks that it exists.
func (p *Part) Check(context.Context) ([]string, error) {
	c := p.Wanted()
	if c == nil || !c.Wants() {
		return nil, nil
	}
	return p.table.check()
}

// Remove deletes the table.
func (p *Part) Remove(context.Context) error {
	_, err := p.table.remove()
	return err
}

// Present names the table, if there is one.
func (p *Part) Present() []string {
	if !p.table.exists() {
		return nil
	}
	return []string{"table ip " + TableName(p.device)}
}

// Traffic returns what has arrived from each peer by each path, and what was
// sent to it by whichever path, since the peer is in the table. What the daemon
// sends by packet sockets is not counted. Both are nil where the table cannot
// be read. It reads all keys: some milliseconds for 1,000 peers.
func (p *Part) Traffic() (arrived map[Key]Count, sent map[netip.Prefix]Count) {
	c, peers, _ := p.wanted()
	if c == nil {
		return nil, nil
	}
	return p.table.traffic(*c, peers)
}

// Refused returns what was dropped, by path and for Sent, since the table was
// made. It is nil where there is none, or it cannot be read. It reads no key.
func (p *Part) Refused() map[string]Count {
	if p.Wanted() == nil {
		return nil
	}
	return p.table.refused()
}
