// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/host/nft"
	"flanneld/internal/problem"
)

// Part is the table as a part of the host.
type Part struct {
	device string
	table  *table

	mu      sync.Mutex // guards what follows
	want    *Config    // nil: not known yet
	done    bool       // the last Ensure did what the last Want has set
	why     string     // the kernel cannot do it; "": it can, or was not asked
	fresh   bool       // outside is what the links say
	outside []string   // bridges that lead to other hosts
}

// NewPart makes the part for an overlay device. Nothing is changed before
// Ensure.
func NewPart(device string) *Part {
	return &Part{device: device, table: newTable(TableName(device))}
}

// Want sets what the next Ensure does; nil: not known yet, and the table stays.
func (p *Part) Want(c *Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = p.done && reflect.DeepEqual(p.want, c)
	p.want = c
}

// LinksChanged makes the next Ensure look again which bridges lead to other
// hosts.
func (p *Part) LinksChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = false
}

// bridges names the bridges that lead to other hosts. What was known last holds
// where the kernel cannot be read.
func (p *Part) bridges() ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh {
		return p.outside, nil
	}
	names, err := bridgesOut()
	if err != nil {
		return p.outside, err
	}
	p.outside, p.fresh = names, true
	return names, nil
}

func (p *Part) wanted() *Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}

// InPlace reports whether the table is what was wanted last. Where it is not,
// iptables has to translate (see package firewall).
func (p *Part) InPlace() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Unavailable says why the kernel of this host cannot do it; "" after an Ensure
// that was not refused.
func (p *Part) Unavailable() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// Device is the overlay device that NewPart was given.
func (p *Part) Device() string { return p.device }

// Name is "addresses".
func (*Part) Name() string { return problem.PartAddresses }

// Ensure puts the table in place, in one transaction. A kernel that cannot do
// it is no problem: see Unavailable and InPlace. Where nothing has changed it
// costs two netlink messages.
func (p *Part) Ensure(context.Context) ([]string, error) {
	c := p.wanted()
	if c == nil {
		return nil, nil
	}
	changes, err := p.ensure(*c)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = err == nil && reflect.DeepEqual(p.want, c)
	p.why = ""
	switch {
	case errors.Is(err, nft.ErrUnsupported):
		p.why = err.Error()
		return changes, nil
	case err != nil:
		return changes, host.Advise(
			fmt.Errorf("a program that masquerades can hide containers' addresses from other hosts: %w", err), nft.Advice(err, ""))
	}
	return changes, nil
}

func (p *Part) ensure(c Config) ([]string, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Masquerade { // by whichever device packets come
		return p.table.ensure(c, nil)
	}
	outside, err := p.bridges()
	changes, failed := p.table.ensure(c, outside)
	return changes, errors.Join(failed, err)
}

// Check returns what another program has changed. A process that did not write
// the table only checks that it exists.
func (p *Part) Check(context.Context) ([]string, error) {
	if p.wanted() == nil || p.Unavailable() != "" {
		return nil, nil
	}
	return p.table.check()
}

// Remove deletes the table.
func (p *Part) Remove(context.Context) error { return p.table.remove() }

// Present names the table, if there is one.
func (p *Part) Present() []string {
	if !p.table.exists() {
		return nil
	}
	return []string{"table ip " + TableName(p.device)}
}
