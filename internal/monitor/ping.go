// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

// pingInterval is between two packets of a Ping.
const pingInterval = 200 * time.Millisecond

// pings are under way.
type pings struct {
	mu  sync.Mutex // of writers
	all atomic.Pointer[[]*probe.Ping]
}

// answer reports whether a packet is for one of them. It does not wait.
func (p *pings) answer(packet []byte, by plan.Path) bool {
	all := p.all.Load()
	if all == nil {
		return false
	}
	return slices.ContainsFunc(*all, func(one *probe.Ping) bool { return answers(one, packet, by) })
}

func (p *pings) change(f func([]*probe.Ping) []*probe.Ping) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*probe.Ping
	if now := p.all.Load(); now != nil {
		all = slices.Clone(*now)
	}
	all = f(all)
	p.all.Store(&all)
}

// run runs a ping until it or ctx ends.
func (p *pings) run(ctx context.Context, one *probe.Ping) probe.PingResult {
	p.change(func(all []*probe.Ping) []*probe.Ping { return append(all, one) })
	defer p.change(func(all []*probe.Ping) []*probe.Ping {
		return slices.DeleteFunc(all, func(other *probe.Ping) bool { return other == one })
	})
	return one.Run(ctx)
}

// Ping sends count packets of size bytes to a node or static peer by one path,
// whether packets take that path now or not. A size of 0 is as short as
// possible. A path that this host or the peer does not have is an error.
func (m *Monitor) Ping(ctx context.Context, id string, path plan.Path, count, size int) (probe.PingResult, error) {
	for _, r := range m.cfg.Routes.Plan().Routes {
		if r.ID != id {
			continue
		}
		switch c, ok := wayBy(r, path); {
		case !ok:
			return probe.PingResult{}, fmt.Errorf("no %s path to %s: --backend does not have it", path, r.Name)
		case !c.Possible:
			return probe.PingResult{}, fmt.Errorf("no %s path to %s: %s", path, r.Name, c.Why)
		default:
			return m.ping(ctx, r, c, count, size)
		}
	}
	return probe.PingResult{}, fmt.Errorf("no route to %s", id)
}

func (m *Monitor) ping(ctx context.Context, r plan.Route, c plan.Candidate, count, size int) (probe.PingResult, error) {
	if !m.proofs.worth(c) {
		return probe.PingResult{}, fmt.Errorf("no %s path to %s: no device for it", c.Path, r.Name)
	}
	t, ok := m.proofs.target(&r, c)
	if !ok {
		return probe.PingResult{}, fmt.Errorf("no route to %s", r.Name)
	}
	if t.Send == nil {
		t.Send = func(packet []byte, _ probe.Offload) (int, error) { return m.cfg.Plane.Send(t.Endpoint, packet) }
	}
	known, _ := m.proofs.result(r.ID, c.Path)
	return m.pings.run(ctx, probe.NewPing(probe.PingConfig{
		Source: m.cfg.Plane.Lease().Addr(), Target: t, Stamp: m.proofs.kernel.stamp(c.Path), ForwardsOnly: known.ForwardsOnly, Count: count, Size: size, Interval: pingInterval,
	})), nil
}
