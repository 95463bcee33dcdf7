// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
)

func routeCommand(e env) *cobra.Command {
	c := &cobra.Command{Use: "route", Short: "Ask for next hops"}
	c.AddCommand(routeGetCommand(e))
	return c
}

func routeGetCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "get IP",
		Short: "Show which next hop an address has, and why",
		Args:  exactly("IP"),
	}
	at, as := addTarget(c), addFormat(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := netip.ParseAddr(args[0])
		if err != nil || a.Zone() != "" {
			return usage("%s: %q is not an IP address", path(c), args[0])
		}
		client, err := at.client(e)
		if err != nil {
			return err
		}
		route, err := client.Route(c.Context(), a)
		if err != nil {
			return err
		}
		return show(e, *as, route, func(t *table) { drawRoute(t, route) })
	}
	return c
}

// pathInUse is the path that packets take, and of udp what carries them.
func pathInUse(r control.Route) string {
	for _, p := range r.Paths {
		switch {
		case !p.Used || p.Path != "udp":
		case p.Shortcut.Used:
			return "udp, in the kernel"
		case p.Shortcut.Why != "":
			return "udp, in user space; short-cut: " + p.Shortcut.Why
		}
	}
	return r.Path
}

func drawRoute(t *table, r control.Route) {
	color, text := plain, r.Kind
	switch r.Kind {
	case control.RouteVia:
		text = fmt.Sprintf("via %s at %s", named(r.Node), endpointText(r.Endpoint))
	case control.RouteUnreachable:
		color, text = red, fmt.Sprintf("unreachable, %s has it", named(r.Node))
	case control.RouteNone:
		color = yellow
	}
	t.line(color, r.Address.String(), text)
	if r.Prefix.IsValid() {
		t.line(plain, "subnet", r.Prefix.String())
	}
	if r.Path != "" {
		t.line(plain, "path", pathInUse(r))
	}
	if r.MTU > 0 {
		t.linef(plain, "MTU", "%d", r.MTU)
	}
	t.line(plain, "because", r.Reason)
	for _, k := range r.Kernel {
		color := plain
		if k.InTheWay {
			color = red
		}
		t.line(color, "kernel", fmt.Sprintf("from %s: %s", k.From, k.Text))
	}
}
