// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// flows fails the test unless TCP goes both ways between pods, by their own
// addresses.
func flows(t *testing.T, p1, p2 *lab.Pod) {
	t.Helper()
	for _, way := range [][2]*lab.Pod{{p1, p2}, {p2, p1}} {
		way[0].Reachable(t, way[1].Addr, 10*time.Second)
		if got := lab.SendTCP(t, way[0].Namespace, way[1].Namespace, at(way[1].Addr, 7000), 4<<20); got.Source != way[0].Addr {
			t.Errorf("%v arrived as %v", way[0].Addr, got.Source)
		}
	}
}

// The underlay address of a host changes under a running daemon. Its peers send
// to the new one, by kernel paths as before.
func TestKernelPathsFollowAnUnderlayAddress(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"auto", "vxlan,udp"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			_, p1, p2 := joined(t, backend)
			h1, h2 := p1.Host, p2.Host
			talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
			for _, address := range []string{"192.168.50.72", "192.168.50.73"} {
				start := time.Now()
				readdress(t, h2, address)
				talk.GoesOn(t, 15*time.Second, 20)
				t.Logf("to %s: the conversation goes on after %v", address, time.Since(start).Round(100*time.Millisecond))
				where := " via " + address + " "
				if backend != "auto" {
					where = " dev flannel.1 "
					lab.Eventually(t, proven, "the FDB entry to have the new address", func() error {
						fdb := h1.Exec(t, "bridge", "fdb", "show", "dev", "flannel.1")
						return lab.Expect(strings.Contains(fdb, "dst "+address+" "), "%s", fdb)
					})
					link := h2.Exec(t, "ip", "-d", "link", "show", "flannel.1")
					if !strings.Contains(link, " local "+address+" ") {
						t.Errorf("the device is %s", link)
					}
				}
				h1.WaitKernelPath(h2, again, where)
				h2.WaitKernelPath(h1, again)
				t.Logf("to %s: the kernel carries packets after %v", address, time.Since(start).Round(100*time.Millisecond))
				flows(t, p1, p2)
			}
			if err := talk.Stop(); err != nil {
				t.Errorf("the conversation broke: %v", err)
			}
			well(t, h1, noticed)
			well(t, h2, noticed)
		})
	}
}

// The underlay device of a host is another one: its address moves to a second
// network card, or the card is taken out and put in again. The kernel carries
// packets by the new device, both ways.
func TestKernelPathsFollowAnUnderlayDevice(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, l *lab.Lab, h *lab.Host) (device string){
		"the address moves": func(t *testing.T, l *lab.Lab, h *lab.Host) string {
			l.Wire(h.Namespace, "eth9", l.Switch, "spare", 1500)
			l.Switch.Exec(t, "ip", "link", "set", "spare", "master", "br0")
			h.Exec(t, "ip", "link", "set", "eth0", "down")
			h.Exec(t, "ip", "address", "flush", "dev", "eth0")
			return "eth9"
		},
		"the device is made again": func(t *testing.T, l *lab.Lab, h *lab.Host) string {
			h.Exec(t, "ip", "link", "delete", "eth0")
			time.Sleep(time.Second)
			l.Wire(h.Namespace, "eth0", l.Switch, "again", 1500)
			l.Switch.Exec(t, "ip", "link", "set", "again", "master", "br0")
			return "eth0"
		},
	} {
		for _, backend := range []string{"auto", "vxlan,udp"} {
			t.Run(name+", "+backend, func(t *testing.T) {
				t.Parallel()
				l, p1, p2 := joined(t, backend)
				h1, h2 := p1.Host, p2.Host
				talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
				before := macOf(t, h2, "eth0")
				device := change(t, l, h2)
				start := time.Now()
				h2.Exec(t, "ip", "address", "add", h2.Addr.String()+"/24", "dev", device)
				h2.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String())
				talk.GoesOn(t, 15*time.Second, 20)
				t.Logf("the conversation goes on after %v", time.Since(start).Round(100*time.Millisecond))
				here, there := " dev flannel.1 ", " dev flannel.1 "
				if backend == "auto" {
					here, there = " dev eth0 ", " dev "+device+" "
				}
				h1.WaitKernelPath(h2, again, here)
				h2.WaitKernelPath(h1, again, there)
				t.Logf("the kernel carries packets after %v", time.Since(start).Round(100*time.Millisecond))
				if after := macOf(t, h2, device); after == before {
					t.Fatalf("the device has the MAC address %s of the former one", after)
				}
				flows(t, p1, p2)
				if err := talk.Stop(); err != nil {
					t.Errorf("the conversation broke: %v", err)
				}
				well(t, h1, noticed)
				well(t, h2, noticed)
			})
		}
	}
}

// A peer gets another network card, or the neighbor table is flushed.
func TestDirectPathFollowsTheNeighbor(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "host-gw,udp")
	h1, h2 := p1.Host, p2.Host
	pings := p1.StartPinging(t, p2.Addr, 20*time.Millisecond)
	for range 5 {
		h1.Exec(t, "ip", "neigh", "flush", "dev", "eth0")
		h2.Exec(t, "ip", "neigh", "flush", "dev", "eth0")
		time.Sleep(300 * time.Millisecond)
	}
	flows(t, p1, p2)
	if count := pings.Stop(); count.Lost != 0 {
		t.Errorf("over flushes of the neighbors: %v", count)
	}

	for i, mac := range []string{"02:00:00:00:77:01", "02:00:00:00:77:02"} {
		start := time.Now()
		h2.Exec(t, "ip", "link", "set", "eth0", "address", mac)
		if i == 1 {
			h2.Exec(t, "sh", "-c", "ip neigh flush dev eth0; ping -c 1 -W 1 "+h1.Addr.String())
		}
		p1.Reachable(t, p2.Addr, 15*time.Second)
		t.Logf("the other MAC: packets after %v", time.Since(start).Round(100*time.Millisecond))
		flows(t, p1, p2)
		h1.WaitKernelPath(h2, again)
		h2.WaitKernelPath(h1, again)
		t.Logf("the kernel carries them after %v", time.Since(start).Round(100*time.Millisecond))
		flows(t, p1, p2)
	}
}

// Two hosts have one MAC address, as clones of a machine have. The second one
// is not sent to directly, and ping says why. Packets go by another path. The
// switch floods: one that learns would give each frame to one of the two.
func TestHostsWithOneMACAddress(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	l.Switch.Exec(t, "ip", "link", "set", "br0", "type", "bridge", "ageing_time", "0")
	h1, h2, h3 := l.Trio("--backend", "auto")
	lab.WaitKernelPaths(l.Hosts(), again, " dev eth0 ")
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	h3.Exec(t, "ip", "link", "set", "eth0", "address", macOf(t, h2, "eth0"))
	for _, h := range l.Hosts() {
		h.Exec(t, "ip", "neigh", "flush", "dev", "eth0")
	}
	refused := func(from, to *lab.Host, why string) {
		t.Helper()
		lab.Eventually(t, proven, from.NodeName+" not to send directly to "+to.NodeName, func() error {
			n := node(t, from, to)
			for _, p := range n.Paths {
				if p.Name == "direct" && !p.Used && strings.Contains(p.Why, why) {
					return lab.Expect(n.PathInUse() == "vxlan", "%+v", n.Paths)
				}
			}
			return lab.Expect(false, "%+v", n.Paths)
		})
		mentions(t, "ping", from.Flanneld("ping", to.NodeName).Stdout, "direct", why)
	}
	refused(h1, h3, " of "+h2.Addr.String())
	refused(h2, h3, "this host's own MAC address")
	refused(h3, h2, "this host's own MAC address")
	h1.WaitKernelPath(h2, again, " dev eth0 ")
	flows(t, p1, p2)
	flows(t, p1, p3)
	flows(t, p2, p3)

	h3.Exec(t, "ip", "link", "set", "eth0", "address", "02:00:00:00:77:03")
	for _, h := range l.Hosts() {
		h.Exec(t, "ip", "neigh", "flush", "dev", "eth0")
	}
	lab.WaitKernelPaths(l.Hosts(), again, " dev eth0 ")
	flows(t, p1, p3)
}

// Another program makes the reverse path filter strict while packets go
// directly. They get through, and directly again once it is loose.
func TestFilterMadeStrictUnderADirectPath(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "auto")
	h1, h2 := p1.Host, p2.Host
	pings := p1.StartPinging(t, p2.Addr, 10*time.Millisecond)
	start := time.Now()
	h2.Sysctl(t, "net.ipv4.conf.all.rp_filter", "1")
	h2.Sysctl(t, "net.ipv4.conf.eth0.rp_filter", "1")
	h1.WaitKernelPath(h2, 2*noticed, " dev flannel.1 ")
	t.Logf("not sent to directly after %v", time.Since(start).Round(100*time.Millisecond))
	h2.WaitKernelPath(h1, again)
	flows(t, p1, p2)
	mentions(t, "status of the strict host", h2.Flanneld("status").Stdout, "rp_filter")
	count := pings.Stop()
	t.Logf("%v", count)
	if count.Lost > 100 {
		t.Errorf("while the filter was made strict: %v", count)
	}
	h2.Sysctl(t, "net.ipv4.conf.all.rp_filter", "0")
	h2.Sysctl(t, "net.ipv4.conf.eth0.rp_filter", "2")
	h1.WaitKernelPath(h2, again, " dev eth0 ")
	flows(t, p1, p2)
}

// A router translates addresses between two hosts. Packets do not go directly,
// but they go: also by VXLAN if the translated address is the announced one.
func TestTranslatedAddressesAreNotDirect(t *testing.T) {
	t.Parallel()
	const outer = "192.168.50.222"
	for _, c := range []struct {
		name, rules string
		paths       [2]string // of host 1 and 2
		args        []string
	}{
		{"all, and announced", `
			chain in { type nat hook prerouting priority -100; iifname "eth0" ip daddr 192.168.50.222 dnat to 192.168.60.12; }
			chain out { type nat hook postrouting priority 100; ip saddr 192.168.60.12 oifname "eth0" snat to 192.168.50.222; }`,
			[2]string{"vxlan", "vxlan"}, []string{"--public-ip", outer}},
		{"VXLAN alone", `
			chain out { type nat hook postrouting priority 100; ip saddr 192.168.60.12 udp dport 8472 oifname "eth0" snat to 192.168.50.222; }`,
			[2]string{"vxlan", "udp"}, nil}, // what host 1 sends is not translated
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, h1 := founder(t, "--backend", "auto")
			h2 := l.HostBehind(1500)
			router := strings.Replace(h2.Name, "host", "near", 1)
			l.Switch.Exec(t, "ip", "netns", "exec", router, "sh", "-c",
				"ip address add "+outer+"/24 dev eth0; nft 'table ip nat {"+c.rules+"\n}'")
			h2.Start(append(c.args, "--backend", "auto", "--join", h1.Addr.String())...).WaitReady(ready)
			l.WaitConverged(2)
			p1, p2 := h1.Pod(), h2.Pod()
			flows(t, p1, p2)
			both := [][2]*lab.Host{{h1, h2}, {h2, h1}}
			for i, hosts := range both {
				lab.Eventually(t, proven, hosts[0].NodeName+" to use "+c.paths[i], func() error {
					n := node(t, hosts[0], hosts[1])
					return lab.Expect(n.PathInUse() == c.paths[i], "%+v", n.Paths)
				})
			}
			time.Sleep(5 * time.Second) // until all is proven that can be
			flows(t, p1, p2)
			for i, hosts := range both {
				if n := node(t, hosts[0], hosts[1]); n.PathInUse() != c.paths[i] {
					t.Errorf("%s: %+v", hosts[0].NodeName, n.Paths)
				}
			}
		})
	}
}

// A path breaks and heals all the time. Changes become rare, and a connection
// goes on.
func TestFlappingPathIsDamped(t *testing.T) {
	t.Parallel()
	l, p1, p2 := joined(t, "host-gw,udp")
	h1, h2 := p1.Host, p2.Host
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	changes, was := 0, true
	look := func() {
		for range 12 {
			time.Sleep(250 * time.Millisecond)
			if is := h1.KernelPath(h2) != ""; is != was {
				was, changes = is, changes+1
			}
		}
	}
	for end := time.Now().Add(45 * time.Second); time.Now().Before(end); {
		l.Drop("ether type ip ip daddr 10.244.0.0/16")
		look()
		l.Mend()
		look()
	}
	t.Logf("%d changes in 45 s", changes)
	if changes > 3 {
		t.Errorf("%d changes of path in 45 s", changes)
	}
	talk.GoesOn(t, 10*time.Second, 20)
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}
}

// Something between the hosts does not compute the checksums that senders leave
// to it: only packets inside of VXLAN arrive broken. Checksums are computed in
// time, and the path carries packets.
func TestChecksumsThatTheUnderlayBreaksAreComputedEarlier(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	l.Relay(h2, lab.Mischief{Sums: true})
	h1.Start("--backend", "vxlan,udp").WaitReady(ready)
	h2.Start("--backend", "vxlan,udp", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 := h1.Pod(), h2.Pod()
	start := time.Now()
	flows(t, p1, p2)
	kernelCarries(t, "vxlan", h1, h2)
	t.Logf("the kernel carries packets after %v", time.Since(start).Round(100*time.Millisecond))
	flows(t, p1, p2)
	kernelCarries(t, "vxlan", h1, h2)
	for _, h := range []*lab.Host{h1, h2} {
		out := h.Exec(t, "ethtool", "-k", "flannel.1")
		if !strings.Contains(out, "tx-checksum-ip-generic: off") {
			t.Errorf("%s leaves checksums to its devices: %s", h.NodeName, out)
		}
	}
}

// A firewall that lets ports in and no pings takes the kernel paths away,
// because nothing proves them. status says so, and the command that it gives
// brings them back.
func TestFirewallThatDropsPingsIsNamed(t *testing.T) {
	t.Parallel()
	const accept = "nft insert rule inet fw input ip saddr 10.244.0.0/16 icmp type echo-request accept"
	l := lab.New(t)
	hosts := []*lab.Host{l.Host(), l.Host()}
	for i, h := range hosts {
		h.Exec(t, "nft", `table inet fw {
			chain input {
				type filter hook input priority 0; policy drop;
				ct state established,related accept
				iif lo accept
				udp dport { 8285, 8286, 8472 } accept
				tcp dport 8286 accept
			}
		}`)
		args := []string{"--backend", "auto"}
		if i > 0 {
			args = append(args, "--join", hosts[0].Addr.String())
		}
		h.Start(args...).WaitReady(ready)
	}
	l.WaitConverged(2)
	for _, h := range hosts {
		tellsProblem(t, h, "that proves the direct path", "that proves the path flannel.1", "policy drop of chain input", accept)
	}
	for _, h := range hosts {
		h.Exec(t, "sh", "-c", accept)
	}
	for _, h := range hosts {
		well(t, h, noticed)
	}
	hosts[0].WaitKernelPath(hosts[1], again, " dev eth0 ")
	hosts[1].WaitKernelPath(hosts[0], again, " dev eth0 ")
}
