// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	"flanneld/peers/internal/gossip/wire"
)

// MaxReport is how long a report can be, in bytes.
const MaxReport = wire.MaxReport

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
