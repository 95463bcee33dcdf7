// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"flanneld/peers/internal/gossip"
)

// Witness is what this node tells another one about itself, see
// [Config.Witness].
type Witness = gossip.Witness

// Examined is what came of the questions to one node. Where its Err is not nil,
// it was not asked.
type Examined struct {
	Node NodeInfo
	gossip.Checkup
	Err error
}

// examinedAtOnce is how many nodes are asked at a time. Each is one datagram
// and one stream, and so are its answers.
const examinedAtOnce = 16

// Examine asks other nodes to answer by datagram and by stream, and what time
// it is there. It asks at most limit nodes, first those that are not alive, and
// returns how many there are. A node that has left is not asked. ctx bounds the
// time; each node takes up to five seconds, sixteen at a time.
func (n *Node) Examine(ctx context.Context, limit int) (all []Examined, of int, err error) {
	agent, err := n.agent(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, node := range n.Snapshot().Nodes {
		if !node.Self && node.State != Left {
			all = append(all, Examined{Node: node})
		}
	}
	of = len(all)
	slices.SortStableFunc(all, func(a, b Examined) int { return stateRank(a.Node.State) - stateRank(b.Node.State) })
	all = all[:min(of, limit)]
	var asking sync.WaitGroup
	turns := make(chan struct{}, examinedAtOnce)
	for i := range all {
		turns <- struct{}{}
		asking.Go(func() {
			defer func() { <-turns }()
			all[i].Checkup, all[i].Err = examine(ctx, agent, all[i].Node.ID, all[i].Node.Gossip)
		})
	}
	asking.Wait()
	return all, of, nil
}

// stateRank orders nodes: the ones in trouble first.
func stateRank(s State) int {
	switch s {
	case Suspect:
		return 0
	case Dead:
		return 1
	}
	return 2
}

func examine(ctx context.Context, g *gossip.Agent, id NodeID, at netip.AddrPort) (gossip.Checkup, error) {
	if err := ctx.Err(); err != nil {
		return gossip.Checkup{}, fmt.Errorf("not asked: %w", err)
	}
	return g.Checkup(ctx, id, at)
}
