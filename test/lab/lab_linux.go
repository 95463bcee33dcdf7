// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// The underlay's addresses. Private ones: that is where a node without a
// cluster key is willing to start.
var (
	Underlay       = netip.MustParsePrefix("192.168.50.0/24")
	Gateway        = netip.MustParseAddr("192.168.50.1")
	OutsideAddress = netip.MustParseAddr("203.0.113.10")
	Overlay        = netip.MustParsePrefix("10.244.0.0/16") // flanneld's default
)

// Lab is one underlay with its hosts. Tests may run several side by side. Each
// has its own switch, so that all can use the same addresses.
type Lab struct {
	t       TB
	number  int64
	dir     string
	hosts   []*Host
	Binary  string     // the flanneld under test
	Switch  *Namespace // the bridge, and the router to the outside
	Outside *Namespace // 203.0.113.10: a host beyond the underlay
}

var labs atomic.Int64

// New makes a lab with no hosts. It ends, daemons first, with the test; the
// logs of the daemons are shown when the test has failed.
func New(t TB) *Lab {
	t.Helper()
	flanneld, err := underTest()
	if err != nil {
		t.Fatalf("%v", err)
	}
	l := &Lab{t: t, number: labs.Add(1), Binary: flanneld}
	l.dir = filepath.Join(Root, fmt.Sprint(l.number))
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		t.Fatalf("make the lab's directory: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(l.dir) })
	l.Switch = NewNamespace(t, l.name("switch"))
	l.Outside = NewNamespace(t, l.name("outside"))

	sw := l.Switch
	sw.IP(t, "link add br0 type bridge forward_delay 0", "address add "+Gateway.String()+"/24 dev br0", "link set br0 up")
	sw.Sysctl(t, "net.ipv4.ip_forward", "1")
	// A bridge that hands its packets to the firewall would reassemble them.
	sw.Exec(t, "sh", "-c", "for f in /proc/sys/net/bridge/bridge-nf-call-*; do test -e $f && echo 0 >$f; done; true")
	l.Wire(l.Outside, "eth0", sw, "outside", 1500)
	sw.IP(t, "address add 203.0.113.1/24 dev outside")
	l.Outside.IP(t, "address add "+OutsideAddress.String()+"/24 dev eth0", "route add "+Underlay.String()+" via 203.0.113.1")
	return l
}

// name makes a namespace's name, unique among labs.
func (l *Lab) name(what string) string { return fmt.Sprintf("l%d-%s", l.number, what) }

// Namespace makes an empty namespace, such as a container's before it has a
// network.
func (l *Lab) Namespace(what string) *Namespace { return NewNamespace(l.t, l.name(what)) }

// Dir is a directory that goes away with the lab.
func (l *Lab) Dir() string { return l.dir }

// Hosts returns the hosts in the order they were made.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Wire lays a veth pair between two namespaces and sets both ends up.
func (l *Lab) Wire(a *Namespace, nameA string, b *Namespace, nameB string, mtu int) {
	l.t.Helper()
	a.IP(l.t, veth(nameA, b, nameB, fmt.Sprint(mtu)), "link set "+nameA+" up")
	b.IP(l.t, "link set "+nameB+" up")
}

// veth is the command of ip that makes a pair of devices: one here, its peer in
// another namespace.
func veth(name string, there *Namespace, peer, mtu string) string {
	return fmt.Sprintf("link add %s mtu %s type veth peer name %s mtu %s netns %s", name, mtu, peer, mtu, there.Name)
}

// Host adds a host on the bridge: the first is host1, 192.168.50.11.
func (l *Lab) Host() *Host {
	l.t.Helper()
	h := l.newHost()
	h.Addr = netip.AddrFrom4([4]byte{192, 168, 50, byte(10 + h.Number)})
	l.plug(h.Namespace, "eth0", h.port(), netip.PrefixFrom(h.Addr, 24), "route add default via "+Gateway.String())
	return h
}

// HostBehind adds a host that is reached through two routers; the leg between
// them takes packets of up to mtu bytes only. Both ends see 1500.
func (l *Lab) HostBehind(mtu int) *Host {
	l.t.Helper()
	t := l.t
	h := l.newHost()
	h.Addr = netip.AddrFrom4([4]byte{192, 168, 60, byte(10 + h.Number)})
	near := NewNamespace(t, l.name(fmt.Sprintf("near%d", h.Number)))
	far := NewNamespace(t, l.name(fmt.Sprintf("far%d", h.Number)))
	near.Sysctl(t, "net.ipv4.ip_forward", "1")
	far.Sysctl(t, "net.ipv4.ip_forward", "1")
	// Every large packet gets its answer, so that tests need not wait for one.
	for _, router := range []*Namespace{near, far} {
		router.Sysctl(t, "net.ipv4.icmp_ratelimit", "0")
	}
	l.plug(near, "eth0", fmt.Sprintf("near%d", h.Number), netip.MustParsePrefix("192.168.50.200/24"), "route add default via "+Gateway.String())
	l.Wire(near, "leg", far, "leg", mtu)
	l.Wire(far, "eth1", h.Namespace, "eth0", 1500)
	near.IP(t, "address add 192.168.61.1/24 dev leg", "route add 192.168.60.0/24 via 192.168.61.2")
	far.IP(t, "address add 192.168.61.2/24 dev leg", "address add 192.168.60.1/24 dev eth1", "route add default via 192.168.61.1")
	h.IP(t, "address add "+h.Addr.String()+"/24 dev eth0", "route add default via 192.168.60.1")
	l.Switch.Exec(t, "ip", "route", "add", "192.168.60.0/24", "via", "192.168.50.200")
	// A way of its own past the gateway, which would answer with redirects.
	for _, other := range l.hosts {
		if other != h && Underlay.Contains(other.Addr) {
			other.Exec(t, "ip", "route", "add", "192.168.60.0/24", "via", "192.168.50.200")
		}
	}
	return h
}

// port is the device at the switch that the host is plugged into.
func (h *Host) port() string { return fmt.Sprintf("host%d", h.Number) }

// plug connects a namespace to the bridge, and runs more commands of ip there.
func (l *Lab) plug(ns *Namespace, device, port string, address netip.Prefix, more ...string) {
	l.t.Helper()
	l.Switch.IP(l.t, veth(port, ns, device, "1500"), "link set "+port+" master br0 up")
	ns.IP(l.t, append([]string{"link set " + device + " up", fmt.Sprintf("address add %v dev %s", address, device)}, more...)...)
}

// Cut separates the host from all others on the underlay, as a pulled plug at
// the switch does; Heal puts it back.
func (l *Lab) Cut(h *Host) {
	l.Switch.Exec(l.t, "ip", "link", "set", h.port(), "nomaster")
}

// Heal ends a [Lab.Cut].
func (l *Lab) Heal(h *Host) {
	l.Switch.Exec(l.t, "ip", "link", "set", h.port(), "master", "br0")
}

// Trio makes three hosts with running daemons that form one network: the
// first founds it, the others join it. It returns when all are ready.
func (l *Lab) Trio(args ...string) (h1, h2, h3 *Host) {
	l.t.Helper()
	h1, h2, h3 = l.Host(), l.Host(), l.Host()
	h1.Start(args...).WaitReady(20 * time.Second)
	d2, d3 := h2.join(h1, args), h3.join(h1, args)
	d2.WaitReady(20 * time.Second)
	d3.WaitReady(20 * time.Second)
	l.WaitConverged(3)
	return h1, h2, h3
}
