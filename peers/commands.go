// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/statedir"
)

// Join adds seeds and tries each once, now. It returns the ones that answered
// as nodes of this network. err, where not nil, has a line for each other one
// that says why not. All stay seeds until the process ends.
func (n *Node) Join(ctx context.Context, addrs []string) (joined []string, err error) {
	seeds, err := gossip.ParseSeeds(addrs)
	if err != nil {
		return nil, ofGossip(err)
	}
	e := n.engine.Load()
	if e == nil {
		return nil, notRunning()
	}
	joined, failures := e.joiner.Add(ctx, seeds)
	for i, err := range failures {
		failures[i] = ofGossip(err)
	}
	return joined, errors.Join(failures...)
}

// Leave hands the lease back: durably first, then it tells the others. The
// identity stays in the state directory, and so do the number of starts and the
// node table. Before that it waits, two seconds at most, for claims that count
// on a promise of this node's. When ctx ends then, nothing happens. When ctx
// ends later, the lease is given up all the same. Run returns nil after that,
// and Leave after Run.
func (n *Node) Leave(ctx context.Context) error {
	e := n.engine.Load()
	if e == nil {
		return notRunning()
	}
	if err := n.awaitClaims(ctx, e); err != nil {
		return err
	}
	if err := n.do(ctx, e, e.leave); err != nil {
		return err
	}
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("peers: leave: %w", ctx.Err())
	}
}

// awaitClaims waits a while for claims under way that count on a promise of
// this node's.
func (n *Node) awaitClaims(ctx context.Context, e *engine) error {
	for since := time.Now(); ; time.Sleep(leavePoll) {
		owing := false
		err := n.do(ctx, e, func() error {
			owing = e.core.Retire(e.now())
			return nil
		})
		if err != nil || !owing || time.Since(since) >= leaveClaims {
			return err
		}
	}
}

// Forget removes a dead node, so that its subnet becomes free. node is a name,
// an ID, or the beginning of one ID, at least 4 characters long.
func (n *Node) Forget(ctx context.Context, node string) (NodeInfo, error) {
	e := n.engine.Load()
	if e == nil {
		return NodeInfo{}, notRunning()
	}
	var forgotten NodeInfo
	err := n.do(ctx, e, func() (err error) {
		forgotten, err = e.forget(node)
		return err
	})
	return forgotten, err
}

// ReloadKey reads the key file again. A key it did not hold before becomes the
// one to seal with; all earlier ones stay accepted until the process ends. On
// error nothing changes. A node that was started without a key stays without
// one.
func (n *Node) ReloadKey() error {
	if n.keyring == nil {
		return nil
	}
	key, err := statedir.ReadKey(n.config.KeyFile)
	if err != nil {
		return ofState(err)
	}
	n.keyring.Use(key)
	return nil
}

// Answers returns once the goroutine that decides has answered, and at once
// while it is not there yet. The error says why it has not answered: ctx has
// ended, or the node has.
func (n *Node) Answers(ctx context.Context) error {
	if e := n.engine.Load(); e != nil {
		return n.do(ctx, e, func() error { return nil })
	}
	select {
	case <-n.ended:
		return notRunning()
	default:
		return nil
	}
}

func notRunning() error { return failure(ErrNotRunning, "the node is not running yet, or no longer") }

// agent is the member in gossip that the node has now. A move to another
// endpoint replaces it.
func (n *Node) agent(ctx context.Context) (agent *gossip.Agent, err error) {
	e := n.engine.Load()
	if e == nil {
		return nil, notRunning()
	}
	err = n.do(ctx, e, func() error {
		agent = e.gossip
		return nil
	})
	return agent, err
}

// do runs f on the core's goroutine.
func (n *Node) do(ctx context.Context, e *engine, f func() error) error {
	c := command{f, make(chan error, 1)}
	select {
	case e.commands <- c:
	case <-n.ended:
		return notRunning()
	case <-ctx.Done():
		return fmt.Errorf("peers: %w", ctx.Err())
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("peers: %w", ctx.Err())
	}
}

// Bounds of a farewell. It may take its time to be durable.
const (
	leaveClaims = 2 * time.Second
	leavePoll   = 20 * time.Millisecond
	leaveDisk   = 5 * time.Second
)

// leave hands the lease back. Other nodes hear about it only when it is on
// disk. So a node that is restarted half-way either still has its lease, or all
// nodes will know that it has none.
func (e *engine) leave() error {
	e.core.Leave(e.now())
	eff := e.core.Effects()
	e.logLines(eff.Log)
	if eff.Save != nil {
		e.store.SaveLease(eff.Save.Token, eff.Save.Durable)
		if !e.awaitSaved(eff.Save.Token) {
			e.ending = failure(ErrState, "cannot hand the lease back: %s cannot be written; the lease is kept", e.node.dir.Path())
			return e.ending
		}
	}
	e.announce(eff)
	e.news, e.tableNews = true, true
	e.publish()
	e.gossip.Leave()
	e.ending = errLeft
	return nil
}

// awaitSaved waits for the disk, and reports whether it was in time.
func (e *engine) awaitSaved(token uint64) bool {
	late := time.After(leaveDisk)
	for e.store.Newest() < token {
		select {
		case <-e.store.Saved():
		case <-late:
			return false
		}
	}
	return true
}

// forget removes a dead node.
func (e *engine) forget(text string) (NodeInfo, error) {
	v := e.core.View()
	for _, id := range v.PossibleHolders {
		v.Nodes = append(v.Nodes, NodeInfo{ID: id})
	}
	found, err := findNode(v.Nodes, text)
	if err != nil {
		return NodeInfo{}, err
	}
	switch err := e.core.Forget(e.now(), found.ID); {
	case errors.Is(err, core.ErrForgetNoLease):
		return NodeInfo{}, failure(ErrNotHolder, "forget %s: %v", text, err)
	case errors.Is(err, core.ErrForgetAlive), errors.Is(err, core.ErrForgetSelf):
		return NodeInfo{}, failure(ErrNodeAlive, "forget %s: %v", text, err)
	case errors.Is(err, core.ErrForgetUnknown), errors.Is(err, core.ErrForgetSuspect), errors.Is(err, core.ErrNoNetwork):
		return NodeInfo{}, failure(ErrUnknownNode, "forget %s: %v", text, err)
	case err != nil:
		return NodeInfo{}, failure(ErrState, "forget %s: %v", text, err)
	}
	return e.withRTT(found), nil
}

// findNode returns the one node with that name or ID, or with an ID that begins
// like that.
func findNode(nodes []NodeInfo, text string) (NodeInfo, error) {
	var found []NodeInfo
	for _, n := range nodes {
		if n.ID.String() == strings.ToLower(text) {
			return n, nil
		}
		if n.Name == text || n.ID.HasPrefix(text) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return NodeInfo{}, failure(ErrUnknownNode, "no node has the name %q, or an ID that begins with it: `flanneld nodes` lists them", text)
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, n := range found {
		ids = append(ids, fmt.Sprintf("%s is %s", n.ID, n.State))
	}
	return NodeInfo{}, failure(ErrUnknownNode, "%q means %d nodes: give the ID of one (%s)", text, len(found), strings.Join(ids, ", "))
}
