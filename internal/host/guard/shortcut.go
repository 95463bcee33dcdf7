// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"log/slog"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/host/shortcut"
)

// KeepShortcut makes the guard look after the short-cut, and waits for the
// first look. Nil switches it off. The programs that send go at once, and those
// that take packets some seconds later.
func (g *Guard) KeepShortcut(ctx context.Context, c *shortcut.Config) {
	g.parts.Shortcut.Want(c)
	g.repairs.wanted(g.parts.Shortcut)
	g.keepShortcut(ctx)
}

// shortcutLoop keeps the programs of the short-cut. What another program takes
// away is back within a second: until then user space carries the packets.
func (g *Guard) shortcutLoop(ctx context.Context) {
	var following sync.WaitGroup
	following.Go(func() { g.parts.Shortcut.Follow(ctx) })
	host.Loop{
		Every: interval, Pace: pathsPace, Links: g.parts.Shortcut.Due(), Round: g.keepShortcut,
		Pulse: g.pulses.of(g.parts.Shortcut),
	}.Run(ctx)
	following.Wait()
}

func (g *Guard) keepShortcut(ctx context.Context) {
	g.keeper.Keep(ctx, slog.LevelInfo, g.parts.Shortcut)
}
