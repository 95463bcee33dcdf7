// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
	"flanneld/internal/plan"
)

func shortcutCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "shortcut [auto|off]",
		Short: "Show or switch the short-cut in the kernel",
		Long: `Show whether this host's kernel carries the udp format by itself, to how many nodes, and how much.

With auto or off, switch it first. Traffic goes on: packets in flight arrive by either way. The
daemon's next start follows --shortcut again. While it is off, all packets pass user space, and
tcpdump on the overlay device sees them all.`,
		Example: `  flanneld shortcut
  flanneld shortcut off && tcpdump -ni flannel0; flanneld shortcut auto`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && (control.ShortcutRequest{Setting: args[0]}).Check() != nil {
				return usage("flanneld shortcut: give auto, off, or nothing to see what holds")
			}
			return nil
		},
		ValidArgs: []string{control.ShortcutAuto, control.ShortcutOff},
	}
	at, as := addTarget(c), addFormat(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := at.client(e)
		if err != nil {
			return err
		}
		var s control.Shortcut
		if len(args) == 1 {
			s, err = client.Shortcut(c.Context(), control.ShortcutRequest{Setting: args[0]})
		} else {
			var status control.Status
			status, err = client.Status(c.Context())
			s = status.Shortcut
		}
		if err != nil {
			return err
		}
		return show(e, *as, s, func(t *table) { drawShortcut(t, s) })
	}
	return c
}

// drawShortcut is more than the line of `status`.
func drawShortcut(t *table, s control.Shortcut) {
	t.line(shortcutColor(s), "short-cut", shortcutText(s))
	t.linef(plain, "egress", "%d packets, %s", s.Egress.Packets, size(s.Egress.Bytes))
	t.linef(plain, "ingress", "%d packets, %s", s.Ingress.Packets, size(s.Ingress.Bytes))
	var left []string
	for _, reason := range slices.Sorted(maps.Keys(s.Left)) {
		left = append(left, fmt.Sprintf("%s %d", reason, s.Left[reason]))
	}
	t.line(plain, "left", listOr(left, "none")+", to user space")
	for _, note := range s.Notes {
		t.line(plain, "note", note)
	}
}

func shortcutText(s control.Shortcut) string {
	switch {
	case s.Setting != control.ShortcutAuto:
		return dashed(s.Why)
	case !s.Ready:
		return "not available on this host: " + s.Why
	}
	text := fmt.Sprintf("the kernel carries udp to %d peers", s.Peers)
	if s.Peers == 1 {
		text = strings.TrimSuffix(text, "s")
	}
	if !s.Pinned {
		text += ", while the daemon runs"
	}
	return text
}

func shortcutColor(s control.Shortcut) string {
	if s.Setting == control.ShortcutAuto && !s.Ready {
		return yellow
	}
	return plain
}

// shortcutNote says why packets of a used udp path do not take the short-cut,
// where that is about the peer. What is about this host, `status` says.
func shortcutNote(paths []control.NodePath) []string {
	for _, p := range paths {
		why := p.Shortcut.Why
		if p.Used && why != "" && !plan.ShortcutIsOff(why) && !strings.HasPrefix(why, plan.NotHere) {
			return []string{"by user space: " + why}
		}
	}
	return nil
}
