// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"time"

	"flanneld/internal/problem"
)

const (
	oversizeLook = 5 * time.Second
	// oversizeTime is how long after the last packet that was too large its
	// sender is still a problem.
	oversizeTime = time.Minute
)

// oversize remembers which peers send packets that are larger than the device's
// MTU. Packets without DF would fit if the peer's device had the same one.
type oversize struct {
	counts map[string]uint64
	last   map[string]time.Time
}

// look takes the present counts, by node ID or static peer, and returns whether
// each has sent such packets within oversizeTime. The first look is a
// beginning.
func (o *oversize) look(counts map[string]uint64, now time.Time) map[string]bool {
	if o.last == nil {
		o.last = map[string]time.Time{}
	}
	recent := map[string]bool{}
	for id, n := range counts {
		if before := o.counts[id]; n > before && o.counts != nil {
			o.last[id] = now
		}
		if last, ok := o.last[id]; ok && now.Sub(last) < oversizeTime {
			recent[id] = true
		}
	}
	o.counts = counts
	return recent
}

// watchSizes reports peers that send packets which are too large, until ctx
// ends.
func (m *Monitor) watchSizes(ctx context.Context) {
	tick := time.NewTicker(oversizeLook)
	defer tick.Stop()
	var o oversize
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.cfg.Problems.Report(problem.PartSize, m.oversized(&o, now)...)
		}
	}
}

func (m *Monitor) oversized(o *oversize, now time.Time) []problem.Problem {
	recent := o.look(m.cfg.Routes.TooLarge(), now)
	device := m.cfg.Plane.Link()
	var problems []problem.Problem
	for _, r := range m.cfg.Routes.Plan().Routes {
		if !recent[r.ID] {
			continue
		}
		problems = append(problems, problem.Problem{
			Text:   fmt.Sprintf("packets of %s are larger than %d bytes, the MTU of %s here, and are dropped", r.Name, device.MTU, device.Name),
			Advice: fmt.Sprintf("give both the same MTU: ip link set there, --mtu %d in its settings, or a larger --mtu here", device.MTU),
		})
	}
	return problems
}
