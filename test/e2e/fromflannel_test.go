// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/test/lab"
)

// flannelCluster is four hosts with flannel and one of its kernel backends,
// each with a pod. They are moved one by one.
type flannelCluster struct {
	t       *testing.T
	backend string
	hosts   []*lab.Host
	pods    []*lab.Pod
	leases  map[*lab.Host]netip.Prefix
	macs    map[*lab.Host]string // of VXLAN devices, as etcd has them
	list    []string             // the same static peers for all hosts

	flannel map[*lab.Host]*lab.KernelFlannel // hosts that run flannel
	moved   []*lab.Host                      // members, in the order in which they moved
}

func newFlannelCluster(t *testing.T, backend string) *flannelCluster {
	t.Helper()
	l := lab.New(t)
	c := &flannelCluster{
		t: t, backend: backend, leases: map[*lab.Host]netip.Prefix{},
		macs: map[*lab.Host]string{}, flannel: map[*lab.Host]*lab.KernelFlannel{},
	}
	for i := range 4 {
		h := l.Host()
		c.hosts = append(c.hosts, h)
		c.leases[h] = netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", 20+11*i))
		c.runFlannel(h, "")
		c.list = append(c.list, "--static-peer", flannelPeer(backend, c.leases[h], h, c.macs[h]))
	}
	for _, h := range c.hosts {
		c.publish(h)
		c.pods = append(c.pods, h.Pod())
	}
	c.allReachAll()
	return c
}

// flannelPeer is the static peer for a host that runs flannel. mac is of its
// VXLAN device, "" for other backends.
func flannelPeer(backend string, lease netip.Prefix, h *lab.Host, mac string) string {
	peer := lease.String() + "=" + backend + ":" + h.Addr.String()
	if mac != "" {
		peer += "/" + mac
	}
	return peer
}

// runFlannel starts flannel on a host. With a device of that name on the host,
// flannel takes it.
func (c *flannelCluster) runFlannel(h *lab.Host, mac string) {
	c.t.Helper()
	c.flannel[h] = h.StartKernelFlannel(c.backend, c.leases[h], mac)
	if c.backend == "vxlan" {
		c.macs[h] = macOf(c.t, h, "flannel.1")
	}
	for _, other := range c.hosts {
		if other != h {
			c.flannel[h].Learn(c.leases[other], other.Addr, c.macs[other])
		}
	}
}

// publish is a line in etcd: all hosts with flannel learn it.
func (c *flannelCluster) publish(h *lab.Host) {
	c.t.Helper()
	for other, f := range c.flannel {
		if other != h {
			f.Learn(c.leases[h], h.Addr, c.macs[h])
		}
	}
}

func (c *flannelCluster) allReachAll() {
	c.t.Helper()
	lab.ReachEachOther(c.t, c.pods, 5*time.Second)
}

// inTheKernel waits until all members reach all others by kernel paths.
func (c *flannelCluster) inTheKernel() {
	c.t.Helper()
	for _, a := range c.moved {
		for _, b := range c.hosts {
			if a != b {
				a.WaitKernelPath(b, proven)
			}
		}
	}
}

// forward moves a host to flanneld. Until flannel's device or routes are
// deleted, the kernel goes on as flannel has left it.
func (c *flannelCluster) forward(h *lab.Host) {
	c.t.Helper()
	args := append([]string{"--backend", c.backend + ",udp"}, c.list...)
	if len(c.moved) > 0 {
		args = append(args, "--join", c.moved[0].Addr.String())
	}
	delete(c.flannel, h) // it ends, and leaves all as it is
	h.Start(args...).WaitReady(ready)
	c.moved = append(c.moved, h)
	if c.backend != "vxlan" {
		return // flannel's routes are taken over
	}
	ill(c.t, h, noticed, "flannel.1")
	mentions(c.t, "status of "+h.NodeName, h.Flanneld("status").Stdout, "ip link delete flannel.1")
	<-time.After(1200 * time.Millisecond) // it may take a person longer
	h.Exec(c.t, "ip", "link", "delete", "flannel.1")
	lab.Eventually(c.t, 5*time.Second, "flanneld's flannel.1", func() error {
		return lab.Expect(h.Run(c.t, "ip", "link", "show", "flannel.1").Status == 0, "no device")
	})
	c.macs[h] = macOf(c.t, h, "flannel.1")
	c.publish(h)
}

// back moves a host back to flannel. Its VXLAN device is made with the MAC that
// the static peers have, and flannel takes it as it is.
func (c *flannelCluster) back(h *lab.Host, mac string) {
	c.t.Helper()
	h.MustFlanneld("leave")
	h.Daemon.WaitEnd(ready)
	c.moved = slices.DeleteFunc(c.moved, func(other *lab.Host) bool { return other == h })
	c.runFlannel(h, mac)
	c.publish(h)
}

// underPings runs a move under pings, and fails the test if many are lost.
func (c *flannelCluster) underPings(what string, h *lab.Host, move func()) {
	c.t.Helper()
	if err := lab.UnderPings(c.t, what, h, c.pods, move); err != nil {
		c.t.Error(err)
	}
}

// intact fails the test unless each host has its lease, and no daemon of a
// member has ended.
func (c *flannelCluster) intact() {
	c.t.Helper()
	for h, lease := range c.leases {
		if got := h.Lease(); got != lease {
			c.t.Errorf("%s has %v, flannel gave it %v", h.NodeName, got, lease)
		}
	}
	for _, h := range c.moved {
		if h.Daemon.Ended() {
			c.t.Errorf("the daemon of %s ended", h.NodeName)
		}
	}
}

// Hosts move from flannel's kernel backends one by one, and one of them goes
// back. No other host is restarted, and the kernel carries the packets.
func TestHostsMoveFromFlannelsKernelBackends(t *testing.T) {
	for _, backend := range []string{"vxlan", "host-gw"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			c := newFlannelCluster(t, backend)
			first := maps.Clone(c.macs)
			for _, i := range []int{2, 0, 3, 1} {
				h := c.hosts[i]
				c.underPings("move", h, func() { c.forward(h) })
				c.inTheKernel()
				c.allReachAll()
				c.intact()
				well(t, h, noticed)
			}
			h := c.hosts[0]
			mac := first[h]
			c.underPings("way back", h, func() { c.back(h, mac) })
			c.inTheKernel()
			c.allReachAll()
			c.intact()
			for _, other := range c.moved {
				well(t, other, noticed)
			}
		})
	}
}
