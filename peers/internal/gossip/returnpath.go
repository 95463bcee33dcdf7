// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Limits of return paths.
const (
	maxReturnPaths = 1024
	returnPathFor  = 10 * time.Second
	// newcomerFrame is the length in bytes to which a newcomer pads its frames:
	// no answer is larger than what it answers.
	newcomerFrame = 512
)

// returnPath leads to a node that wrote to us before gossip named it. The
// endpoint is only what the node says about itself, so no more bytes go there
// than came.
type returnPath struct {
	endpoint netip.AddrPort
	budget   int
	until    time.Time
}

// returnPaths belong to the goroutine that calls [Agent.Open] and [Agent.Send].
type returnPaths struct {
	ours  netip.AddrPort
	paths map[record.NodeID]returnPath
}

func newReturnPaths(ours netip.AddrPort) *returnPaths {
	return &returnPaths{ours, map[record.NodeID]returnPath{}}
}

// learn notes where a frame says that it came from, when its sender is no
// member.
func (r *returnPaths) learn(f wire.Frame, now time.Time) {
	if !usableEndpoint(f.Endpoint, r.ours) || f.Endpoint == r.ours {
		return
	}
	if len(r.paths) >= maxReturnPaths {
		for id, p := range r.paths {
			if now.After(p.until) {
				delete(r.paths, id)
			}
		}
		if len(r.paths) >= maxReturnPaths {
			return
		}
	}
	p := r.paths[f.From]
	if p.endpoint != f.Endpoint || now.After(p.until) {
		p = returnPath{endpoint: f.Endpoint}
	}
	p.budget += f.Size
	p.until = now.Add(returnPathFor)
	r.paths[f.From] = p
}

// take returns where to send size bytes to a node, if they may be sent.
func (r *returnPaths) take(to record.NodeID, size int, now time.Time) (netip.AddrPort, bool) {
	p, ok := r.paths[to]
	if !ok || now.After(p.until) || size > p.budget {
		return netip.AddrPort{}, false
	}
	p.budget -= size
	r.paths[to] = p
	return p.endpoint, true
}
