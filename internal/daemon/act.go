// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/view"
)

// api is what the control socket serves: a view to read, and commands. It is
// called from several goroutines.
type api struct {
	*view.View
	*daemon
}

// Events returns the events with a higher Seq than after; see control.Daemon.
func (d *daemon) Events(ctx context.Context, after uint64) control.Events {
	return d.events.list(ctx, after)
}

// CheckAddress says what is wrong with the address of a node to join.
func (d *daemon) CheckAddress(address string) error { return config.CheckSeed(address) }

// Join gives peers more seeds.
func (d *daemon) Join(ctx context.Context, addresses []string) (control.Joined, error) {
	joined, err := d.node.Join(ctx, addresses)
	out := control.Joined{Joined: joined}
	if joined == nil {
		out.Joined = []string{}
	}
	if err != nil {
		out.Failed = err.Error()
	}
	return out, nil
}

// Examine asks other nodes what reaches them and this one.
func (d *daemon) Examine(ctx context.Context) (control.Examined, error) {
	all, of, err := d.node.Examine(ctx, control.MaxExamined)
	if err != nil {
		return control.Examined{}, err
	}
	out := control.Examined{Nodes: []control.ExaminedNode{}, Of: of}
	for _, one := range all {
		out.Nodes = append(out.Nodes, view.ExaminedOf(one))
	}
	return out, nil
}

// Forget strikes out a dead node.
func (d *daemon) Forget(ctx context.Context, node string) (control.Node, error) {
	n, err := d.node.Forget(ctx, node)
	if err != nil {
		return control.Node{}, err
	}
	return view.NodeOf(n), nil
}

// Leave hands the lease back. Then the goroutine of Run removes everything and
// stops.
func (d *daemon) Leave(ctx context.Context) (control.Left, error) {
	if !d.exits.leaving.CompareAndSwap(false, true) {
		return control.Left{}, errors.New("this node is leaving already")
	}
	out := control.Left{Subnet: d.node.Snapshot().Self.Lease.Prefix, Notes: []string{}}
	switch err := d.node.Leave(ctx); {
	case errors.Is(err, context.DeadlineExceeded):
		// The lease is given up all the same, but other nodes may not know yet.
		d.log.Warn("leaving", "error", err)
	case err != nil:
		d.exits.leaving.Store(false)
		return control.Left{}, err
	}
	reply := make(leaveReply, 1)
	select {
	case d.exits.left <- reply:
		out.Notes = append(out.Notes, <-reply...)
		return out, nil
	case <-d.exits.ended:
		return control.Left{}, errors.New("the daemon was stopped meanwhile; run `flanneld cleanup`")
	}
}
