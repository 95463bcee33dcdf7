// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"log/slog"

	"flanneld/internal/host"
	"flanneld/internal/host/link"
)

// deviceLoop keeps the overlay device, forwarding, socket and files, and names
// stray bridges. It asks the kernel by netlink and /proc only, and so never
// waits long.
func (g *Guard) deviceLoop(ctx context.Context) {
	host.Loop{
		Every: interval, Pace: pace, Wake: g.deviceWake, Links: g.watchLinks(ctx), Round: g.deviceRound,
	}.Run(ctx)
}

// deviceRound looks at everything once. Where nothing is wrong it only reads.
func (g *Guard) deviceRound(ctx context.Context) {
	p := g.parts
	g.keeper.Keep(ctx, slog.LevelWarn, p.RunDir, p.Socket, p.Device)
	g.keeper.Keep(ctx, slog.LevelInfo, p.Forwarding)
	g.keeper.Keep(ctx, slog.LevelWarn, p.Subnet, p.Docker, p.Bridge)
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
