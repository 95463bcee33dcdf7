// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"log/slog"
	"time"

	"flanneld/internal/host"
)

// pathsPace is for kernel paths. What another program takes away is back within
// a second: until then packets are lost, where a tunnel device has no
// neighbor.
var pathsPace = host.Pace{Delay: 100 * time.Millisecond, Min: 500 * time.Millisecond, Max: 8 * time.Second, Factor: 20}

// pathsLoop keeps the kernel paths, once the checks of what comes by them are
// in place. It asks the kernel by netlink and /proc only.
func (g *Guard) pathsLoop(ctx context.Context) {
	changes, err := g.parts.Paths.Watch(ctx)
	if err != nil {
		g.log.Debug("kernel does not report changes of routes and neighbors", "error", err)
	}
	host.Loop{
		Every: interval, Pace: pathsPace, Wake: g.pathsWake, Links: changes,
		Round: g.keepPaths, Pulse: g.pulses.of(g.parts.Paths),
	}.Run(ctx)
}

// keepPaths ensures the kernel paths where what comes by them is checked. Where
// it cannot be, it takes them away, with what an earlier start has left.
func (g *Guard) keepPaths(ctx context.Context) {
	if g.parts.PathRules.InPlace() {
		g.keeper.Keep(ctx, slog.LevelInfo, g.parts.Paths)
	} else if g.parts.PathRules.Unavailable() != "" {
		if err := g.parts.Paths.Remove(ctx); err != nil {
			g.log.Warn("kernel paths that are not checked are not removed", "error", err)
		}
	}
}
