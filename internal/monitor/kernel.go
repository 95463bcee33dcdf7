// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"net"
	"net/netip"

	"flanneld/internal/host/packetsocket"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

// Kernel is what kernel paths are proven with. The functions may be called
// concurrently, and must not wait.
type Kernel struct {
	// VXLAN returns this node's VXLAN device; "" while it has none. Nil:
	// PathVXLAN is not used.
	VXLAN func() string
	// IPIP is this node's IPIP device; "": it has none.
	IPIP string
	// Underlay returns the device that direct packets leave by; "" while it is
	// not known. Nil: PathDirect is not used.
	Underlay func() string
	// Wire sends probes and receives answers; nil: packet sockets do.
	Wire Wire
	// SetChecksumOffload has a tunnel device leave checksums to the next device
	// or not. It is called with off where a path breaks checksums that are left
	// to it. Nil: such a path is left.
	SetChecksumOffload func(path plan.Path, on bool) error
	// Traffic counts the packets that have come from each lease by each kernel
	// path, and those that were sent to it by whichever path; probes are not
	// among these. It is called about once a second, from one goroutine, which
	// may wait. Nil: the paths are probed as if no traffic took them.
	Traffic func() (arrived map[TrafficKey]Traffic, sent map[netip.Prefix]Traffic)
	// Shortcut is how the short-cut is proven; nil: it is not used.
	Shortcut *Shortcut
}

// Shortcut is how packets of the short-cut are told from those that user space
// carries.
type Shortcut struct {
	// Device returns the overlay device; "" while this host has no short-cut.
	Device func() string
	// Mark is what packets have that are to take the short-cut, whether other
	// packets to the peer take it or not.
	Mark uint32
	// Stamp is what the peer's short-cut does to a probe.
	Stamp probe.Stamp
}

// TrafficKey is a lease and a path.
type TrafficKey struct {
	Path  plan.Path
	Lease netip.Prefix
}

// Traffic counts packets and their bytes.
type Traffic struct{ Packets, Bytes uint64 }

// traffic is what Kernel.Traffic returned last.
type traffic struct {
	arrived map[TrafficKey]Traffic
	sent    map[netip.Prefix]Traffic
}

// Wire sends single packets and receives answers; see packetsocket.
type Wire interface {
	Send(device string, to net.HardwareAddr, packet []byte, o packetsocket.Offload) error
	SendMarked(device string, mark uint32, packet []byte, o packetsocket.Offload) error
	SendIPIP(local, remote netip.Addr, packet []byte) error
	// Receive is as packetsocket.Receive.
	Receive(ctx context.Context, device string, to netip.Addr, take func(packet []byte)) error
	Close() error
}

// sockets is the Wire of the host.
type sockets struct{ packetsocket.Sender }

func (*sockets) Receive(ctx context.Context, device string, to netip.Addr, take func(packet []byte)) error {
	return packetsocket.Receive(ctx, device, to, take)
}

// device returns what the packets of a kernel path leave by; "" for none.
func (k *Kernel) device(p plan.Path) string {
	switch {
	case p == plan.PathVXLAN && k.VXLAN != nil:
		return k.VXLAN()
	case p == plan.PathIPIP:
		return k.IPIP
	case p == plan.PathDirect && k.Underlay != nil:
		return k.Underlay()
	case p == plan.PathShortcut && k.Shortcut != nil:
		return k.Shortcut.Device()
	}
	return ""
}

// paths are the kernel paths that this node has, and so may prove.
func (k *Kernel) paths() (all []plan.Path) {
	if k.Underlay != nil {
		all = append(all, plan.PathDirect)
	}
	if k.VXLAN != nil {
		all = append(all, plan.PathVXLAN)
	}
	if k.IPIP != "" {
		all = append(all, plan.PathIPIP)
	}
	if k.Shortcut != nil {
		all = append(all, plan.PathShortcut)
	}
	return all
}

// stamp is what a path does to probes; zero: nothing.
func (k *Kernel) stamp(p plan.Path) probe.Stamp {
	if p == plan.PathShortcut && k != nil && k.Shortcut != nil {
		return k.Shortcut.Stamp
	}
	return probe.Stamp{}
}

// checksums reports whether the probes of a path can leave checksums to the
// device. A raw socket, by which IPIP is sent, cannot.
func checksums(p plan.Path) bool { return p.Kernel() && p != plan.PathIPIP }
