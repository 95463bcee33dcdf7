// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
)

func traceCommand(e env) *cobra.Command {
	request := control.TraceRequest{}
	c := &cobra.Command{
		Use:   "trace IP",
		Short: "Follow packets to a container on another host, station by station",
		Long: `Follow packets from a bridge of this host to an overlay address, and say at which station they were
last seen. The packets are echo requests that come into the bridge as a container's do, from an
address that no container has, so they pass the rules and routes that containers' packets pass. A
time to live that rises lets each station answer: this host's kernel, flanneld, the other host's
kernel, the container. The other node is asked what it has seen. A trace takes up to eight seconds.

The exit status is 0 only if the packets arrive.`,
		Example: `  flanneld trace 10.244.9.2
  flanneld trace 10.244.9.2 --bridge br-0123456789ab -o json`,
		Args: exactly("IP"),
	}
	c.Flags().StringVar(&request.Bridge, "bridge", "", "the `BRIDGE` that packets go into (default the first one with addresses of the lease)")
	at, as := addTarget(c), addFormat(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := netip.ParseAddr(args[0])
		if err != nil {
			return usage("trace: %.80q is not an IP address", args[0])
		}
		request.Address = a.Unmap()
		if err := request.Check(); err != nil {
			return usage("trace: %v", err)
		}
		client, err := at.client(e)
		if err != nil {
			return err
		}
		traced, err := client.Trace(c.Context(), request)
		if err != nil {
			return err
		}
		if err := show(e, *as, traced, func(t *table) { drawTraced(t, traced) }); err != nil {
			return err
		}
		if !traced.Arrived {
			return errNotWell
		}
		return nil
	}
	return c
}

func drawTraced(t *table, traced control.Traced) {
	for _, s := range traced.Stations {
		seen, color := "seen", plain
		if !s.Proven {
			seen, color = "not seen", yellow
		}
		t.line(color, s.Name, seen, roundTrip(s.RTT), s.Text)
	}
	color := red
	if traced.Arrived {
		color = plain
	}
	verdict := []string{traced.Verdict}
	if traced.Advice != "" {
		verdict = append(verdict, "  "+traced.Advice)
	}
	for _, h := range traced.Hints {
		verdict = append(verdict, "status: "+h.Part+": "+h.Text)
		if h.Advice != "" {
			verdict = append(verdict, "  "+h.Advice)
		}
	}
	for i, line := range verdict {
		if i > 0 {
			color = plain
		}
		t.line(color, line)
	}
}
