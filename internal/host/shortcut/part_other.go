// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package shortcut

import (
	"context"
	"net/netip"
)

// Part is the short-cut as a part of the host: there is none here.
type Part struct{ never chan struct{} }

// NewPart makes the part. Nothing on the host is changed.
func NewPart(string) *Part { return &Part{} }

// Probe says that there is no short-cut.
func Probe() (lacks string, old bool) { return ErrPlatform.Error(), true }

// Want does nothing.
func (*Part) Want(*Config) {}

// Update does nothing.
func (*Part) Update([]Peer, []netip.Prefix) {}

// State says that there is no short-cut.
func (*Part) State() State { return State{Why: ErrPlatform.Error()} }

// Changed signals nothing.
func (p *Part) Changed() <-chan struct{} { return p.never }

// Due signals nothing.
func (p *Part) Due() <-chan struct{} { return p.never }

// Follow waits for the end of ctx.
func (*Part) Follow(ctx context.Context) { <-ctx.Done() }

// Traffic is none.
func (*Part) Traffic(...netip.Prefix) map[netip.Prefix]Traffic { return nil }

// Total is none.
func (*Part) Total() Traffic { return Traffic{} }

// Left is none.
func (*Part) Left() []Left { return nil }

// Dropped is none.
func (*Part) Dropped() (sent, received uint64) { return 0, 0 }

// Name is "short-cut".
func (*Part) Name() string { return partName }

// Ensure does nothing.
func (*Part) Ensure(context.Context) ([]string, error) { return nil, nil }

// Check finds nothing.
func (*Part) Check(context.Context) ([]string, error) { return nil, nil }

// Present names nothing.
func (*Part) Present() []string { return nil }

// Remove does nothing.
func (*Part) Remove(context.Context) error { return nil }
