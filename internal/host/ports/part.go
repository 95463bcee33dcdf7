// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/host/nft"
	"flanneld/internal/problem"
)

// Part is the table in front of the ports as a part of the host.
type Part struct {
	device string
	table  *Table

	mu       sync.Mutex // guards what follows; held while links are read
	members  []Member   // none: not known yet
	underlay string     // "": not known
	stale    bool       // gateways have to be read again
	gateway  []string
}

// NewPart makes the part for an overlay device. uid is the user that may send
// beside root.
func NewPart(device string, uid uint32) (*Part, error) {
	table, err := New(device, uid)
	if err != nil {
		return nil, err
	}
	return &Part{device: device, table: table}, nil
}

// Want sets the members, with the ports to which only the daemon may send, and
// the device that datagrams leave by. Without members the part ensures nothing:
// the addresses of this host are not known yet.
func (p *Part) Want(members []Member, underlay string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members, p.underlay, p.stale = members, underlay, true
}

// Wanted returns the arguments of the last Want.
func (p *Part) Wanted() (members []Member, underlay string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members, p.underlay
}

// LinksChanged makes the next Ensure look for gateways again.
func (p *Part) LinksChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = true
}

// Created reports whether this process made a table where none was.
func (p *Part) Created() bool { return p.table.Created() }

// config is what the table should say now.
func (p *Part) config() Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.members) == 0 {
		return Config{}
	}
	if p.stale {
		p.gateway, p.stale = GatewayDevices(p.members, p.underlay), false
	}
	c := Config{Members: p.members}
	for _, name := range append([]string{p.underlay}, p.gateway...) {
		if name != "" && !slices.Contains(c.Underlay, name) {
			c.Underlay = append(c.Underlay, name)
		}
	}
	return c
}

// Device is the overlay device that NewPart was given.
func (p *Part) Device() string { return p.device }

// Name is "ports".
func (*Part) Name() string { return problem.PartPorts }

// Ensure puts the table in place. Without it, other programs could send as this
// host, so that a failure is a problem.
func (p *Part) Ensure(context.Context) ([]string, error) {
	c := p.config()
	if len(c.Members) == 0 {
		return nil, host.ErrPending
	}
	changes, err := p.table.Ensure(c)
	if err == nil {
		return changes, nil
	}
	return changes, host.Advise(
		fmt.Errorf("containers and unprivileged users of this host can send into the overlay as this host: %w", err),
		nft.Advice(err, "load the kernel's nf_tables (modprobe nf_tables nft_fib_ipv4), of Linux 5.1 or newer"))
}

// Check returns what another program has changed. A process that did not write
// the table only checks that it exists.
func (p *Part) Check(context.Context) ([]string, error) { return p.table.Check() }

// Remove deletes the table.
func (p *Part) Remove(context.Context) error { return Remove(p.device) }
