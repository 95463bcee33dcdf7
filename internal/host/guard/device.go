// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"log/slog"

	"flanneld/internal/host"
	"flanneld/internal/host/link"
)

// deviceLoop keeps every part that has no loop of its own: the overlay device,
// forwarding, socket, files. They ask the kernel by netlink and /proc only, and
// so never wait long.
func (g *Guard) deviceLoop(ctx context.Context) {
	host.Loop{
		Every: interval, Pace: pace, Wake: g.deviceWake, Links: g.watchLinks(ctx), Round: g.deviceRound,
		Pulse: g.pulses.of(g.parts.Device),
	}.Run(ctx)
}

// deviceRound looks at these parts once. Where nothing is wrong it only reads.
func (g *Guard) deviceRound(ctx context.Context) {
	for _, p := range g.parts.List() {
		switch p {
		case g.parts.Ports, g.parts.PathRules, g.parts.Paths, g.parts.Shortcut, g.parts.Addresses, g.parts.Firewall, g.parts.Others: // see their loops
		case g.parts.Forwarding: // off on most hosts at first
			g.keeper.Keep(ctx, slog.LevelInfo, p)
		default:
			g.keeper.Keep(ctx, slog.LevelWarn, p)
		}
	}
}

// watchLinks reports changes of links, addresses and routes. The channel is nil
// where the kernel does not report them.
func (g *Guard) watchLinks(ctx context.Context) <-chan struct{} {
	changes, err := link.Watch(ctx)
	if err != nil {
		g.log.Debug("kernel does not report changes of links", "error", err)
		return nil
	}
	return changes
}
