// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	"flanneld/peers/internal/gossip/wire"
)

// MaxReport is how long a report can be, in bytes.
const MaxReport = wire.MaxReport

// How long a question and its answer can be, in bytes.
const (
	MaxQuestion = wire.MaxQuestion
	MaxAnswer   = wire.PartBytes
)

// Report asks another node how it is, by gossip, so that it works where packets
// do not arrive. It returns what that node's [Config].Report has returned, not
// more than 2 s old, and signed by that node. It takes a few seconds at most,
// and a datagram each way for each kilobyte. Only a lease holder is answered.
// The error is a few words that say why there is no report.
func (n *Node) Report(ctx context.Context, of NodeID) ([]byte, error) {
	agent, err := n.agent(ctx)
	if err != nil {
		return nil, err
	}
	return agent.Report(ctx, of)
}

// Ask puts a question to another node, by gossip, and returns what that node's
// [Config].Answer has returned, signed by it. It takes 1.2 s at most, and a
// datagram each way for each of up to three tries. Only a lease holder is
// answered. The error is a few words that say why there is no answer.
func (n *Node) Ask(ctx context.Context, of NodeID, question []byte) ([]byte, error) {
	agent, err := n.agent(ctx)
	if err != nil {
		return nil, err
	}
	return agent.Inquire(ctx, of, question)
}
