// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/control"
)

func pingCommand(e env) *cobra.Command {
	request := control.PingRequest{}
	var through string
	c := &cobra.Command{
		Use:   "ping NODE",
		Short: "Try each path to a node: round trip, loss, largest packet",
		Long: `Send probes to a node over each path of --backend, and show the round trip (smallest, average,
largest), how many probes were lost, the largest packet that was answered, and why a path is or is
not used. NODE is its name, its ID, the beginning of its ID, a static peer's address, or an overlay
address in its subnet. The probes are ICMP echo requests to the first address of its subnet.

The path udp has two lines where there is a short-cut: "short-cut" is the kernel, "udp" is user space.

The exit status is 0 only if the path in use answered or, with --path, that path.`,
		Example: `  flanneld ping host2
  flanneld ping host2 --path vxlan --count 10 --size 1450`,
		Args: exactly("NODE"),
	}
	flags := c.Flags()
	flags.StringVar(&through, "path", "", "one `PATH` alone: short-cut, udp, direct (host-gw), vxlan or ipip (default all)")
	flags.IntVar(&request.Count, "count", 3, fmt.Sprintf("`N` probes over each path, 1 to %d", control.MaxPings))
	flags.IntVar(&request.Size, "size", 0, fmt.Sprintf("length of each probe in `BYTES`, %d to %d (default the shortest)", control.MinPingSize, control.MaxPingSize))
	at, as := addTarget(c), addFormat(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		request.Node = args[0]
		if through != "" {
			p, ok := pathNamed(through)
			if !ok {
				return usage("--path %s: not one of %s", through, strings.Join(control.PingNames(), ", "))
			}
			request.Path = string(p)
		}
		if err := request.Check(); err != nil {
			return usage("%s: %v", path(c), err)
		}
		client, err := at.client(e)
		if err != nil {
			return err
		}
		pinged, err := client.Ping(c.Context(), request)
		if err != nil {
			return err
		}
		if err := show(e, *as, pinged, func(t *table) { drawPinged(t, pinged) }); err != nil {
			return err
		}
		if !answered(pinged, request.Path) {
			return errNotWell
		}
		return nil
	}
	return c
}

// pathNamed finds a path by its name or flannel's.
func pathNamed(text string) (config.Path, bool) {
	for _, p := range append(config.Paths(), config.PathShortcut) {
		if text == string(p) || text == p.Backend() {
			return p, true
		}
	}
	return "", false
}

// answered reports whether the path that counts answered: the one that was
// asked for or, without one, the one in use.
func answered(p control.Pinged, asked string) bool {
	for _, one := range p.Paths {
		if (one.Path == asked || asked == "" && one.Used) && one.Received > 0 {
			return true
		}
	}
	return false
}

func drawPinged(t *table, p control.Pinged) {
	t.line(plain, fmt.Sprintf("%s, %s, %s", named(p.Node), p.State, p.Subnet))
	t.line(plain, "PATH", "USED", "MIN", "AVERAGE", "MAX", "LOST", "LARGEST", "WHY")
	for _, one := range p.Paths {
		used, lost, largest := "-", "-", "-"
		if one.Used {
			used = "yes"
		}
		if one.Sent > 0 {
			lost = fmt.Sprintf("%d of %d", one.Sent-one.Received, one.Sent)
		}
		if one.Largest > 0 {
			largest = fmt.Sprintf("%d of %d", one.Largest, one.MTU)
		}
		t.line(pingedColor(one), one.Path, used, roundTrip(one.Min), roundTrip(one.Avg), roundTrip(one.Max), lost, largest, one.Why)
	}
}

func pingedColor(p control.PingedPath) string {
	switch {
	case p.Used && p.Received == 0:
		return red
	case p.Received < p.Sent:
		return yellow
	}
	return plain
}
