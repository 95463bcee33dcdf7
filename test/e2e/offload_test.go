// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// mangle loses one datagram in 200 on its way into a host, and doubles one in
// 100 on its way out. A train counts as one.
const mangle = `table netdev mangle {
	chain arriving {
		type filter hook ingress device "eth0" priority 0;
		udp dport 8285 numgen random mod 200 0 counter drop
	}
	chain leaving {
		type filter hook egress device "eth0" priority 0;
		udp dport 8285 numgen random mod 100 0 counter dup to "eth0"
	}
}`

// Whatever offloads the two ends use, TCP data is the same at the end, and
// packets of every size arrive. So it is when the underlay loses and doubles
// packets.
func TestTransfersArriveWholeWithAnyOffloadsAndABadUnderlay(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	for _, c := range []struct{ name, one, two string }{
		{"all at both ends", "auto", "auto"},
		{"none at one end", "auto", "off"},
		{"none at both ends", "off", "off"},
		{"without superpackets from the device", "udp-gso,udp-gro", "auto"},
		{"without trains", "tun-csum,tun-tso,tun-uso", "auto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab.New(t)
			h1, h2 := l.Host(), l.Host()
			h1.Start("--offload", c.one, "--shortcut", "off").WaitReady(10 * time.Second)
			h2.Start("--offload", c.two, "--shortcut", "off", "--join", h1.Addr.String()).WaitReady(10 * time.Second)
			p1, p2 := h1.Pod(), h2.Pod()
			p1.Reachable(t, p2.Addr, 10*time.Second)
			for _, h := range []*lab.Host{h1, h2} {
				h.Exec(t, "nft", mangle)
			}
			lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), size)
			lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), size)
			for _, h := range []*lab.Host{h1, h2} {
				h.Exec(t, "nft", "delete table netdev mangle")
			}
			for _, length := range []int{1, 18, 64, 1300, 1444} {
				lab.SendUDP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001), 100, length)
			}
		})
	}
}

// What "auto" and "off" mean here, so that scenarios which run with both do not
// run twice with the same.
func TestExtremesDiffer(t *testing.T) {
	t.Parallel()
	extremes(t, func(t *testing.T, offload string) {
		_, h := founder(t, "--offload", offload)
		offloads := h.Status().Offloads
		if len(offloads) != 5 {
			t.Errorf("status lists %d offloads: %+v", len(offloads), offloads)
		}
		for _, o := range offloads {
			// Linux before 6.2 has no tun-uso, and some have a udp-gso that is
			// known to be broken.
			dispensable := o.Name == "tun-uso" || o.Name == "udp-gso"
			if o.Used != (offload == "auto") && !(dispensable && !o.Used) {
				t.Errorf("%s: used %v (%s)", o.Name, o.Used, o.Note)
			}
			if !o.Used && o.Note == "" {
				t.Errorf("%s is not used, and nothing says why", o.Name)
			}
		}
	})
}

// Memory that traffic has needed is given back, or was there from the start.
func TestMemoryAtRest(t *testing.T) {
	t.Parallel()
	extremes(t, func(t *testing.T, offload string) {
		const limit = 40 << 10 // KiB
		_, h1, h2 := duo(t, edge(offload)...)
		p1, p2 := h1.Pod(), h2.Pod()
		p1.Reachable(t, p2.Addr, ready)
		lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 64<<20)
		lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), 64<<20)
		for _, length := range []int{1, 1400, 9000} {
			lab.SendUDP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001), 200, length)
		}
		for _, h := range []*lab.Host{h1, h2} {
			lab.Eventually(t, 10*time.Second, h.NodeName+" to be below 40 MB", func() error {
				u, err := h.Daemon.Usage()
				if err != nil {
					return err
				}
				t.Logf("%s: %d KiB resident", h.NodeName, u.Memory)
				return lab.Expect(u.Memory > 0 && u.Memory < limit, "%d KiB", u.Memory)
			})
		}
	})
}
