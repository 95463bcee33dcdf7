// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// shortcutted makes a lab with two hosts that have proven the short-cut to each
// other, and a pod on each.
func shortcutted(t *testing.T, args ...string) (p1, p2 *lab.Pod) {
	t.Helper()
	_, h1, h2 := duo(t, append(args, "--shortcut", "auto")...)
	p1, p2 = h1.Pod(), h2.Pod()
	lab.WaitShortcuts(proven, h1, h2)
	return p1, p2
}

// kernelCarried is what the kernel has carried for a host, and what all have.
func kernelCarried(h *lab.Host) (kernel, all lab.Traffic) {
	s := h.Status()
	return lab.Traffic{Packets: s.Shortcut.Egress.Packets + s.Shortcut.Ingress.Packets, Bytes: s.Shortcut.Egress.Bytes + s.Shortcut.Ingress.Bytes},
		lab.Traffic{Packets: s.Egress.Packets + s.Ingress.Packets, Bytes: s.Egress.Bytes + s.Ingress.Bytes}
}

// Superpackets and small packets, both ways: the kernel carries them, and the
// counters add up.
func TestTheKernelCarriesPackets(t *testing.T) {
	t.Parallel()
	p1, p2 := shortcutted(t)
	for _, way := range [][2]*lab.Pod{{p1, p2}, {p2, p1}} {
		from, to := way[0], way[1]
		kernel, all := kernelCarried(from.Host)
		if got := lab.SendTCP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 16<<20); got.Source != from.Addr {
			t.Errorf("%v arrived as %v", from.Addr, got.Source)
		}
		if got := lab.SendUDP(t, from.Namespace, to.Namespace, at(to.Addr, 7002), 100, 64); got.Source != from.Addr {
			t.Errorf("%v arrived as %v", from.Addr, got.Source)
		}
		now, sum := kernelCarried(from.Host)
		now.Packets -= kernel.Packets
		now.Bytes -= kernel.Bytes
		sum.Packets -= all.Packets
		sum.Bytes -= all.Bytes
		t.Logf("%s: %+v of %+v by the kernel; left: %v", from.Host.NodeName, now, sum, from.Host.Status().Shortcut.Left)
		if now.Bytes < 16<<20 || now.Packets < 16<<20/1472+200 || sum.Bytes < now.Bytes || sum.Bytes-now.Bytes > 1<<20 {
			t.Errorf("%s: the kernel carried %+v, all is %+v", from.Host.NodeName, now, sum)
		}
		well(t, from.Host, time.Second)
	}
}

// The short-cut is switched off and on in turns on both hosts. A TCP stream and
// a conversation go on, and no ping is lost.
func TestSwitchingTheShortcutLosesNothing(t *testing.T) {
	t.Parallel()
	p1, p2 := shortcutted(t)
	switchUnderTraffic(t, p1, p2, 20, 1)
}

// The same for longer, also where the underlay delivers segments one by one:
// they pass the pair of devices that joins them.
func TestAHundredSwitchesOfTheShortcutLoseNothing(t *testing.T) {
	t.Parallel()
	for _, wire := range []struct{ name, offloads string }{{"superpackets on the wire", "on"}, {"segments on the wire", "off"}} {
		t.Run(wire.name, func(t *testing.T) {
			t.Parallel()
			p1, p2 := shortcutted(t)
			for _, h := range []*lab.Host{p1.Host, p2.Host} {
				h.Exec(t, "ethtool", "-K", "eth0", "tso", wire.offloads, "gso", wire.offloads, "tx-udp_tnl-segmentation", wire.offloads)
			}
			switchUnderTraffic(t, p1, p2, 100, 4)
		})
	}
}

// switchUnderTraffic switches the short-cut so many times for a moment. Then it
// switches it off for so long that all is detached, so many times in turns.
func switchUnderTraffic(t *testing.T, p1, p2 *lab.Pod, switches, detached int) {
	t.Helper()
	hosts := []*lab.Host{p1.Host, p2.Host}
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	streams := []*lab.Stream{
		lab.StartStream(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000)),
		lab.StartStream(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000)),
	}
	pings := p2.StartPinging(t, p1.Addr, 5*time.Millisecond)
	kernel, all := kernelCarried(p1.Host)
	for i := range switches {
		hosts[i/2%2].MustFlanneld("shortcut", []string{"off", "auto"}[i%2])
		time.Sleep([]time.Duration{200 * time.Millisecond, 1500 * time.Millisecond}[i%2])
	}
	short := pings.Stop()
	now, sum := kernelCarried(p1.Host)
	if inKernel, carried := now.Bytes-kernel.Bytes, sum.Bytes-all.Bytes; inKernel == 0 || inKernel >= carried {
		t.Errorf("the kernel carried %d of %d bytes: nothing was switched", inKernel, carried)
	}
	pings = p2.StartPinging(t, p1.Addr, 5*time.Millisecond)
	for i := range detached {
		h := hosts[i%2]
		h.MustFlanneld("shortcut", "off")
		lab.Eventually(t, proven, "nothing of the short-cut on "+h.NodeName, func() error {
			links := h.Exec(t, "ip", "-d", "link", "show")
			return lab.Expect(!strings.Contains(links, groDevice), "%s", links)
		})
		h.MustFlanneld("shortcut", "auto")
		lab.WaitShortcuts(proven, hosts...)
	}
	long := pings.Stop()
	t.Logf("%d switches: %v; %d times detached: %v", switches, short, detached, long)
	for _, count := range []lab.PingCount{short, long} {
		if count.Lost != 0 || count.Sent < 1000 {
			t.Errorf("pings: %v", count)
		}
	}
	for _, s := range streams {
		size, err := s.Stop()
		t.Logf("%d bytes of a stream", size)
		if err != nil {
			t.Errorf("a stream broke: %v", err)
		}
	}
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}
	for _, h := range hosts {
		well(t, h, noticed)
	}
}

// groDevice is the first device of the pair that joins segments.
const groDevice = "flannel0gro0"

// The programs go on while no daemon runs, and the next one takes them over.
func TestTheShortcutOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	p1, p2 := shortcutted(t)
	h1, h2 := p1.Host, p2.Host
	if s := h1.Status().Shortcut; !s.Pinned {
		t.Fatalf("the programs are not pinned: %+v", s)
	}
	if links := h1.Exec(t, "ip", "-d", "link", "show"); !strings.Contains(links, groDevice) {
		t.Fatalf("there is no device %s:\n%s", groDevice, links)
	}
	leaks := h1.CountLeaks(lab.Overlay)
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	pings := p2.StartPinging(t, p1.Addr, 5*time.Millisecond)
	for _, end := range []func(){h1.Daemon.Kill, func() { h1.Daemon.Stop() }} {
		end()
		talk.GoesOn(t, 5*time.Second, 50)
		h1.Start("--shortcut", "auto", "--join", h2.Addr.String()).WaitReady(ready)
		lab.WaitShortcuts(proven, h1, h2)
		talk.GoesOn(t, 5*time.Second, 50)
	}
	if count := pings.Stop(); count.Lost != 0 {
		t.Errorf("over a kill and a stop: %v", count)
	}
	if n := leaks.Packets(); n != 0 {
		t.Errorf("%d packets leaked to the default route", n)
	}
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}

	// A start without it takes the programs away.
	h1.Daemon.Stop()
	h1.Start("--join", h2.Addr.String(), "--shortcut", "off").WaitReady(ready)
	pings = p2.StartPinging(t, p1.Addr, 10*time.Millisecond)
	lab.Eventually(t, proven, "no programs", func() error {
		links := h1.Exec(t, "ip", "-d", "link", "show")
		return lab.Expect(!strings.Contains(links, groDevice) && h1.Status().Shortcut.Why == "off (--shortcut)", "%s", links)
	})
	h2.WaitShortcut(h1, false, proven)
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 1<<20)
	if count := pings.Stop(); count.Lost != 0 {
		t.Errorf("while the programs went: %v", count)
	}
	mentions(t, "nodes of the other", h2.MustFlanneld("nodes"), "by user space: the node does not take it")
}

// Another program detaches programs, or deletes the pair of devices, under
// traffic. The guard puts them back within a second. Meanwhile user space
// carries what it can: pings go on. TCP waits where the underlay leaves
// checksums unfinished, as this one does.
func TestDetachedProgramsComeBackUnderTraffic(t *testing.T) {
	t.Parallel()
	p1, p2 := shortcutted(t)
	stream := lab.StartStream(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000))
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	for _, c := range []struct {
		name string
		take func()
	}{
		{"egress", func() { p1.Host.DetachProgram(t, "egress") }},
		{"ingress", func() { p2.Host.DetachProgram(t, "ingress") }},
		{"pair", func() { p2.Host.Exec(t, "ip", "link", "delete", groDevice) }},
	} {
		pings := p1.StartPinging(t, p2.Addr, 5*time.Millisecond)
		c.take()
		pause := longestPause(talk, 4*time.Second)
		count := pings.Stop()
		t.Logf("%s: the conversation paused for %v at most; pings: %v", c.name, pause, count)
		if pause > 2*time.Second || count.Lost > 0 {
			t.Errorf("%s: the conversation paused for %v; pings: %v", c.name, pause, count)
		}
		lab.WaitShortcuts(proven, p1.Host, p2.Host)
	}
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}
	if _, err := stream.Stop(); err != nil {
		t.Errorf("the stream broke: %v", err)
	}
}

// Another tool's program in front of ours may drop packets, and has its way.
// The note names it. Probes do not pass any more, so the short-cut is left.
// When that program is gone packets pass at once.
func TestOtherToolsMayDropPackets(t *testing.T) {
	t.Parallel()
	p1, p2 := shortcutted(t)
	h1 := p1.Host
	detach := h1.AttachDropper(t, "flannel0")
	sent := h1.Status().Shortcut.Egress
	if a := p1.Ping(t, lab.Echo{To: p2.Addr, Wait: 300 * time.Millisecond}); a.From.IsValid() {
		t.Errorf("a ping gets %v", a)
	}
	h1.WaitShortcut(p2.Host, false, 2*proven)
	s, err := h1.Shortcut(p2.Host)
	if err != nil || s.Why != "probes are not answered" {
		t.Errorf("the short-cut is %+v, %v", s, err)
	}
	mentions(t, "shortcut", h1.MustFlanneld("shortcut"), "at egress, dropper (program", "runs first")
	if now := h1.Status().Shortcut.Egress; now != sent {
		t.Errorf("the kernel has sent %+v, before %+v", now, sent)
	}
	detach()
	p1.Reachable(t, p2.Addr, time.Second)
}

// longestPause watches a conversation for a time, and returns how long it stood
// still at most.
func longestPause(talk *lab.Conversation, d time.Duration) (longest time.Duration) {
	last, since := talk.Rounds(), time.Now()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if now := talk.Rounds(); now != last {
			last, since = now, time.Now()
		}
		longest = max(longest, time.Since(since))
	}
	return longest
}

// One host has the short-cut switched off, and one is a static peer: the kernel
// carries packets to neither.
func TestMixedPeersTakeTheWayThatBothHave(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1 := l.Host()
	h1.Start("--shortcut", "auto", "--static-peer", "10.244.200.0/24=192.168.50.14:8285").WaitReady(ready)
	h2, h3, plain := l.Host(), l.Host(), l.Host()
	h2.Start("--shortcut", "auto", "--join", h1.Addr.String()).WaitReady(ready)
	h3.Start("--shortcut", "off", "--join", h1.Addr.String()).WaitReady(ready)
	plain.StartSpeaker(netip.MustParsePrefix("10.244.200.0/24"), 8285)
	l.WaitConverged(3)
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	lab.WaitShortcuts(proven, h1, h2)
	flows(t, p1, p2)
	flows(t, p1, p3)
	flows(t, p2, p3)
	p1.Reachable(t, netip.MustParseAddr("10.244.200.9"), 5*time.Second)
	if s, err := h1.Shortcut(h3); err != nil || s.Used || s.Egress.Packets > 0 || s.Why != "the node does not take it" {
		t.Errorf("to the host without: %+v, %v", s, err)
	}
	if s, err := h3.Shortcut(h1); err != nil || s.Used || s.Why != "off (--shortcut)" {
		t.Errorf("from the host without: %+v, %v", s, err)
	}
	mentions(t, "nodes", h1.MustFlanneld("nodes"), "udp (kernel)", "a static peer does not take it")
	mentions(t, "ping", h1.MustFlanneld("ping", h2.NodeName), "short-cut", "short-cut is preferred")
	mentions(t, "route get", h1.MustFlanneld("route", "get", p2.Addr.String()), "udp, in the kernel")
	mentions(t, "route get", h1.MustFlanneld("route", "get", p3.Addr.String()), "udp, in user space; short-cut: the node does not take it")
}

// The capabilities of the unit are enough. Without them user space carries all
// packets, and status says why.
func TestTheShortcutNeedsTheCapabilitiesOfTheUnit(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	const unit = "-all,+net_admin,+net_raw,+sys_nice"
	start := func(h *lab.Host, capabilities string, args ...string) {
		script := `exec setpriv --no-new-privs --bounding-set ` + capabilities + ` --inh-caps -all -- "$@"`
		h.StartCommand(through(t, h, script, append(args, "--shortcut", "auto")...)).WaitReady(ready)
	}
	start(h1, unit+",+bpf,+perfmon")
	start(h2, unit, "--join", h1.Addr.String())
	h3 := l.Host()
	start(h3, unit+",+bpf", "--join", h1.Addr.String())
	l.WaitConverged(3)
	lab.Eventually(t, proven, "the short-cut of the host with it", func() error {
		s := h1.Status().Shortcut
		return lab.Expect(s.Ready, "%+v", s)
	})
	for _, h := range []*lab.Host{h2, h3} {
		s := h.Status().Shortcut
		t.Logf("%s: %s", h.NodeName, s.Why)
		if s.Ready || s.Why == "" {
			t.Errorf("%s: %+v", h.NodeName, s)
		}
		mentions(t, "status", h.MustFlanneld("status", "--exit-zero"), "not available on this host", "CAP_BPF, CAP_PERFMON")
	}
	flows(t, h1.Pod(), h2.Pod())
	well(t, h2, noticed)
	well(t, h3, noticed)
}
