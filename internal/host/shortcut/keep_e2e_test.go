// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"flanneld/internal/host/link/linktest"
)

// A process that is killed leaves its programs at work. The next one takes
// them over without a gap. No datagram of a peer's program reaches a socket in
// the meantime: its inner checksum may be unfinished.
func TestProgramsOutliveTheProcess(t *testing.T) {
	hosts := twoHosts(t)
	socket := linktest.Listen(t, "h2", "udp4", "192.0.2.2:8285")
	received := make(chan int, 1)
	go func() {
		n := 0
		for {
			if _, _, err := socket.ReadFrom(make([]byte, 2000)); err != nil {
				received <- n
				return
			}
			n++
		}
	}()
	pinger := exec.Command("ip", "netns", "exec", "c1", "ping", "-q", "-n", "-i", "0.002", "-c", "1000", "10.244.2.2")
	var out strings.Builder
	pinger.Stdout = &out
	if err := pinger.Start(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		for _, h := range hosts {
			h.kill()
			time.Sleep(50 * time.Millisecond)
			h.part = NewPart("flannel0")
			h.part.Want(&h.config)
			linktest.In(t, h.name, func() error { // before the peers are known
				_, err := h.part.Ensure(t.Context())
				return err
			})
			h.part.Update([]Peer{h.peer()}, nil)
			if changes := h.ensure(t); len(changes) == 0 {
				t.Error("the new process did not put its programs into place")
			}
		}
	}
	if err := pinger.Wait(); err != nil || !strings.Contains(out.String(), "1000 received") {
		t.Errorf("pings: %v\n%s", err, out.String())
	}
	socket.Close()
	if n := <-received; n > 0 {
		t.Errorf("%d datagrams reached user space", n)
	}
}

// A process that starts slowly keeps what an earlier one has left, until it
// knows what is wanted.
func TestProgramsStayUntilItIsKnownWhatIsWanted(t *testing.T) {
	h := twoHosts(t)[0]
	h.kill()
	h.part = NewPart("flannel0")
	if changes := h.tryEnsure(t); len(changes) > 0 {
		t.Errorf("before anything is known: %q", changes)
	}
	h.part.Update([]Peer{h.peer()}, nil)
	if changes := h.tryEnsure(t); len(changes) > 0 {
		t.Errorf("when the peers are known: %q", changes)
	}
	ping(t, "c1", "10.244.2.2")
	h.part.Want(nil)
	if changes := h.tryEnsure(t); len(changes) == 0 {
		t.Error("nothing was taken away when it was off")
	}
}

// kill gives up everything that the kernel takes back from a process that ends.
func (h *end) kill() {
	for _, at := range h.part.links.open {
		at.Close()
	}
	h.part.links.open = map[string]link.Link{}
	h.part.programs.close()
}

// What another program takes away is seen within a second, and put back.
func TestLinksThatWereTakenAwayComeBack(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	follow(t, h)
	for what, take := range map[string]func(){
		"detached": func() {
			if err := h.part.links.open["egress"].Detach(); err != nil {
				t.Fatal(err)
			}
		},
		"pins removed": func() { linktest.Run(t, "rm -r "+h.part.links.dir) },
	} {
		drain(h.part.Due())
		began := time.Now()
		take()
		select {
		case <-h.part.Due():
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: it was not seen", what)
		}
		wrong := h.check(t)
		if len(wrong) == 0 {
			t.Errorf("%s: Check finds nothing", what)
		}
		h.ensure(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: put back after %v", what, took)
		}
		if wrong := h.check(t); len(wrong) > 0 {
			t.Errorf("%s: still wrong: %q", what, wrong)
		}
		ping(t, "c1", "10.244.2.2")
	}
}

// A program that another one puts into our link is seen by Check, and replaced.
func TestLinksWithAnotherProgramGetOursBack(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	for _, name := range []string{"egress", "ingress"} {
		if err := h.part.links.open[name].Update(guest(t, pass)); err != nil {
			t.Fatal(err)
		}
	}
	if wrong := h.check(t); len(wrong) != 2 {
		t.Errorf("Check finds %q", wrong)
	}
	if changes := h.ensure(t); len(changes) != 2 {
		t.Errorf("Ensure did %q", changes)
	}
	if wrong := h.check(t); len(wrong) > 0 {
		t.Errorf("still wrong: %q", wrong)
	}
	ping(t, "c1", "10.244.2.2")
	sumsAgree(t, hosts)
}

// Verdicts of guests.
const (
	pass = -1 // TCX_NEXT: the programs behind it run
	last = 0  // TCX_PASS: they do not
)

// guest is another program's program.
func guest(t *testing.T, verdict int32) *ebpf.Program {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "guest", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

// The underlay moves to another device and address, and the overlay gets
// another MTU: the programs follow, with the counters that there are.
func TestProgramsFollowAMoveOfTheUnderlay(t *testing.T) {
	hosts := twoHosts(t)
	ping(t, "c1", "10.244.2.2")
	linktest.Script(t, `
		ip -n h1 link add eth7 type veth peer name eth7 netns h2
		ip -n h1 address add 198.51.100.1/24 dev eth7
		ip -n h2 address add 198.51.100.2/24 dev eth7
		ip -n h1 link set eth7 up
		ip -n h2 link set eth7 up
		ip netns exec h1 ping -q -c 1 -W 2 198.51.100.2
		ip -n h1 link set eth0 down`)
	for i, h := range hosts {
		addr := []string{"198.51.100.1:8285", "198.51.100.2:8285"}
		linktest.Run(t, "ip -n "+h.name+" link set flannel0 mtu 1300")
		h.config.Underlay, h.config.MTU, h.config.Endpoint = "eth7", 1300, netip.MustParseAddrPort(addr[i])
		peer := h.peer()
		peer.Endpoint = netip.MustParseAddrPort(addr[1-i])
		h.part.Want(&h.config)
		h.part.Update([]Peer{peer}, nil)
		h.ensure(t)
		if wrong := h.check(t); len(wrong) > 0 {
			t.Errorf("%s: %q", h.name, wrong)
		}
	}
	ping(t, "c1", "10.244.2.2")
	if n := hosts[0].part.Total().Sent.Packets; n != 10 {
		t.Errorf("%d packets are counted, before and after the move, want 10", n)
	}
	if limit := hosts[0].part.table.have[hosts[0].peer().Prefix].limit; limit != 1300 {
		t.Errorf("packets of up to %d bytes are sent, want 1300", limit)
	}
	if all := programsAt(t, hosts[0], "eth0"); all != 0 {
		t.Errorf("%d programs are still at the old device", all)
	}
}

// leftBy is how many packets a host left to user space for a reason.
func leftBy(h *end, direction, reason string) (n uint64) {
	for _, l := range h.part.Left() {
		if l.Direction == direction && l.Reason == reason {
			n += l.Packets
		}
	}
	return n
}

// programsAt counts the programs at the ingress of a device.
func programsAt(t *testing.T, h *end, device string) (n int) {
	t.Helper()
	linktest.In(t, h.name, func() error {
		all, err := link.QueryPrograms(link.QueryOptions{Target: indexOf(device), Attach: ebpf.AttachTCXIngress})
		if err == nil {
			n = len(all.Programs)
		}
		return err
	})
	return n
}

// follow runs Follow in the host's namespace until the test ends.
func follow(t *testing.T, h *end) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	started := make(chan struct{})
	go linktest.In(t, h.name, func() error {
		close(started)
		h.part.Follow(ctx)
		close(done)
		return nil
	})
	<-started
	t.Cleanup(func() { stop(); <-done })
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func (h *end) check(t *testing.T) (wrong []string) {
	t.Helper()
	linktest.In(t, h.name, func() (err error) {
		wrong, err = h.part.Check(t.Context())
		return err
	})
	return wrong
}

// Devices that are deleted and made again get their programs again.
func TestDevicesThatAreMadeAgainGetTheirPrograms(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	// A bridge that is made anew is another one, and a new one is no fault.
	const bridge = "bridge"
	for what, script := range map[string]string{
		"overlay": `
			ip -n h1 link delete flannel0
			ip -n h1 tuntap add dev flannel0 mode tun
			ip -n h1 link set flannel0 mtu 1472 up
			ip -n h1 address add 10.244.1.0/32 dev flannel0
			ip -n h1 route add 10.244.0.0/16 dev flannel0`,
		bridge: `
			ip -n h1 link delete docker0
			ip -n h1 link add docker0 type bridge
			ip -n h1 address add 10.244.1.1/24 dev docker0
			ip -n h1 link set docker0 mtu 1472 up
			ip -n h1 link set port master docker0`,
		"devices for superpackets": `
			ip -n h1 link delete flannel0gro0`,
	} {
		linktest.Script(t, script)
		if wrong := h.check(t); (len(wrong) == 0) != (what == bridge) {
			t.Errorf("%s: Check finds %q", what, wrong)
		}
		if changes := h.ensure(t); len(changes) == 0 {
			t.Errorf("%s: nothing was put back", what)
		}
		ping(t, "c1", "10.244.2.2")
		ping(t, "c2", "10.244.1.2")
	}
	linktest.Script(t, "ip -n h1 link delete eth0\n"+wireTopology)
	linktest.Run(t, "ip netns exec h1 ping -q -c 1 -W 2 192.0.2.2")
	for _, h := range hosts {
		h.ensure(t)
	}
	ping(t, "c1", "10.244.2.2")
	transfer(t, "c2", "c1", "10.244.1.2", 1<<20)
}

// Without a configuration the sending side goes at once. The receiving side
// waits until peers know.
func TestGivingUpTakesTheSenderFirst(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	h.part.Want(nil)
	h.tryEnsure(t)
	names := h.part.links.names()
	if slices.Contains(names, "egress") || !slices.Contains(names, "ingress") {
		t.Fatalf("attached after the first look: %q", names)
	}
	if s := h.part.State(); s.Ready || s.Why == "" {
		t.Errorf("state %+v", s)
	}
	h.part.off = h.part.off.Add(-linger)
	h.tryEnsure(t)
	linktest.In(t, h.name, func() error {
		if present := h.part.Present(); present != nil {
			t.Errorf("left behind: %q", present)
		}
		return nil
	})
	h.tryEnsure(t) // does nothing
	h.part.Want(&h.config)
	h.ensure(t)
	ping(t, "c1", "10.244.2.2")
}

// Counters outlive the maps: what was counted is there after the programs were
// off, and when they are on again.
func TestCountersNeverFall(t *testing.T) {
	h := twoHosts(t)[0]
	ping(t, "c1", "10.244.2.2")
	linktest.Try("ip netns exec c1 ping -q -n -c 3 -i 0.01 -W 0.1 10.244.9.9")
	dropped := make([]uint64, ebpf.MustPossibleCPU())
	dropped[0] = 2
	for i, r := range reasons {
		if r.name == noMemory {
			if err := h.part.programs.Left.Put(uint32(i), dropped); err != nil {
				t.Fatal(err)
			}
			dropped[0]++
		}
	}
	for _, when := range []string{"on", "off", "gone", "on again"} {
		switch when {
		case "off":
			h.part.Want(nil)
			h.tryEnsure(t)
		case "gone":
			h.part.off = h.part.off.Add(-linger)
			h.tryEnsure(t)
			h.tryEnsure(t) // does nothing
		case "on again":
			h.part.Want(&h.config)
			h.ensure(t)
		}
		sent, received := h.part.Dropped()
		if n := leftBy(h, egress, "no-route"); n != 3 || sent != 2 || received != 3 {
			t.Errorf("%s: %d packets without a route were left, want 3; %d and %d dropped, want 2 and 3", when, n, sent, received)
		}
		if n := h.part.Total().Sent.Packets; n != 5 {
			t.Errorf("%s: %d packets were sent, want 5", when, n)
		}
	}
	linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.1 10.244.9.9")
	if n := leftBy(h, egress, "no-route"); n != 4 {
		t.Errorf("then %d packets were left, want 4", n)
	}
}

// tryEnsure ensures a part that need not be ready then.
func (h *end) tryEnsure(t testing.TB) (changes []string) {
	t.Helper()
	linktest.In(t, h.name, func() (err error) {
		changes, err = h.part.Ensure(t.Context())
		return err
	})
	return changes
}

// Where the programs would pass by what an operator has set up, they are not in
// place, and the reason names it.
func TestNothingIsPassedByUnseen(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	for _, o := range []struct{ why, up, down string }{
		{"bridge table", `
			ip netns exec h1 nft add table bridge filter
			ip netns exec h1 nft add chain bridge filter out { type filter hook postrouting priority 0 ; }`,
			"ip netns exec h1 nft delete table bridge filter"},
		{"filters VLANs", "ip -n h1 link set docker0 type bridge vlan_filtering 1",
			"ip -n h1 link set docker0 type bridge vlan_filtering 0"},
		{"IPsec", "ip -n h1 xfrm policy add src 192.0.2.1 dst 192.0.2.2 dir out tmpl proto esp mode transport",
			"ip -n h1 xfrm policy delete src 192.0.2.1 dst 192.0.2.2 dir out"},
	} {
		if strings.Contains(o.up, "vlan_filtering") {
			if _, err := linktest.Try(o.up); err != nil {
				t.Logf("this kernel's bridges know no VLANs: %v", err)
				continue
			}
		} else {
			linktest.Script(t, o.up)
		}
		h.tryEnsure(t)
		switch s := h.part.State(); {
		case *h.part.flags && o.why != "IPsec":
			passesTheBridge(t, hosts[1], h)
		case s.Ready || !strings.Contains(s.Why, o.why):
			t.Errorf("%s: state %+v", o.why, s)
		}
		linktest.Script(t, o.down)
		h.ensure(t)
	}
}

// The kernel finds no way to peers where the loopback interface does not
// forward. The state says so, not that peers do not answer. Where nothing
// forwards, the host is put right by another part, and the programs stay.
func TestLoopbackHasToForward(t *testing.T) {
	h := twoHosts(t)[0]
	const lo, all = "ip netns exec h1 sysctl -qw net.ipv4.conf.lo.forwarding=", "ip netns exec h1 sysctl -qw net.ipv4.ip_forward="
	linktest.Run(t, lo+"0")
	linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.1 10.244.2.2")
	if n := leftBy(h, egress, "path"); n != 1 {
		t.Errorf("%d packets without a path were left, want 1: the kernel looks at other switches", n)
	}
	h.tryEnsure(t)
	if s := h.part.State(); s.Ready || !strings.Contains(s.Why, "net.ipv4.conf.lo.forwarding") {
		t.Errorf("state %+v", s)
	}
	linktest.Run(t, lo+"1")
	h.ensure(t)
	ping(t, "c1", "10.244.2.2")
	linktest.Run(t, all+"0")
	if changes := h.ensure(t); len(changes) > 0 {
		t.Errorf("without forwarding: %q", changes)
	}
	linktest.Run(t, all+"1")
	ping(t, "c1", "10.244.2.2")
}

// passesTheBridge shows that superpackets reach a container by its bridge,
// which does not cut them: the kernel clears what decapsulation leaves behind
// (Linux 7.3).
func passesTheBridge(t *testing.T, from, to *end) {
	t.Helper()
	if s := to.part.State(); !s.Ready {
		t.Fatalf("state %+v", s)
	}
	for _, name := range to.part.links.names() {
		if strings.HasPrefix(name, "bridge") {
			t.Errorf("program %s passes the bridge by", name)
		}
	}
	container := fmt.Sprint("c", to.n)
	segments, whole := to.part.Total().Received.Packets, received(t, container)
	transfer(t, fmt.Sprint("c", from.n), container, fmt.Sprintf("10.244.%d.2", to.n), 16<<20)
	segments, whole = to.part.Total().Received.Packets-segments, received(t, container)-whole
	if segments == 0 || whole > segments/4 {
		t.Errorf("%d segments reached the container in %d packets", segments, whole)
	}
}

// A bridge table that looks only at packets between ports is none of our
// business, and neither is br_netfilter: routed packets never pass them.
func TestRulesBetweenPortsDoNotMatter(t *testing.T) {
	hosts := twoHosts(t)
	linktest.Script(t, `
		ip netns exec h1 nft add table bridge filter
		ip netns exec h1 nft add chain bridge filter between { type filter hook forward priority 0 ; policy drop ; }
		ip netns exec h1 sysctl -qw net.bridge.bridge-nf-call-iptables=1`)
	hosts[0].ensure(t)
	ping(t, "c1", "10.244.2.2")
	ping(t, "c2", "10.244.1.2")
	linktest.Run(t, "ip -n h2 route add 10.244.1.2/32 via 192.0.2.1") // routed to the bridge, and no program
	ping(t, "h2", "10.244.1.2")
}

// Another program's program sees packets before ours, also one that came later.
func TestOtherProgramsSeePacketsFirst(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	var foreign link.Link
	linktest.In(t, h.name, func() (err error) {
		foreign, err = link.AttachTCX(link.TCXOptions{
			Interface: indexOf("eth0"), Program: guest(t, pass), Attach: ebpf.AttachTCXIngress, Anchor: link.Tail(),
		})
		return err
	})
	defer foreign.Close()
	h.ensure(t)
	h.ensure(t)
	place := place{"ingress", 0, ebpf.AttachTCXIngress}
	linktest.In(t, h.name, func() error {
		place.device = indexOf("eth0")
		before, behind, err := h.part.links.others(place)
		if len(before) != 1 || len(behind) != 0 {
			t.Errorf("in front %q, behind %q", before, behind)
		}
		return err
	})
	if s := h.part.State(); !strings.Contains(strings.Join(s.Notes, "\n"), "guest") {
		t.Errorf("the notes do not name the program: %q", s.Notes)
	}
	ping(t, "c1", "10.244.2.2")
}

// A program in front of ours that ends the chain keeps all datagrams from ours:
// they reach user space whole, the note names it, and nothing is counted.
func TestOtherProgramsMayEndTheChain(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	socket := linktest.Listen(t, h.name, "udp4", h.config.Endpoint.String())
	var foreign link.Link
	linktest.In(t, h.name, func() (err error) {
		foreign, err = link.AttachTCX(link.TCXOptions{
			Interface: indexOf("eth0"), Program: guest(t, last), Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
		})
		return err
	})
	h.ensure(t)
	if s := h.part.State(); !strings.Contains(strings.Join(s.Notes, "\n"), "guest") {
		t.Errorf("the notes do not name the program: %q", s.Notes)
	}
	linktest.Try("ip netns exec c2 ping -q -n -c 1 -W 0.2 10.244.1.2")
	if err := socket.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	if n, _, err := socket.ReadFrom(buf); err != nil || n != 84 {
		t.Errorf("user space got %d bytes of the ping, %v", n, err)
	}
	if n := h.part.Total().Received.Packets; n != 0 {
		t.Errorf("%d packets are counted as received", n)
	}
	foreign.Close()
	ping(t, "c1", "10.244.2.2")
}

// The pair of devices that an earlier version made under another name goes when
// the programs lead to the new one. That of another overlay device stays.
func TestPairsOfEarlierVersionsGo(t *testing.T) {
	h := twoHosts(t)[0]
	linktest.In(t, h.name, func() error { return h.part.Remove(t.Context()) })
	const long, other = "flannelblue0", "flannelblue1"
	linktest.Script(t, `
		ip -n h1 link set flannel0 down
		ip -n h1 link set flannel0 name `+long+` up
		ip -n h1 address replace 10.244.1.0/32 dev `+long+`
		ip -n h1 route replace 10.244.0.0/16 dev `+long)
	linktest.In(t, h.name, func() error {
		_, _, err := makeGRO(long, formerGRO(long), "flannelblugro1", 1472)
		return err
	})
	h.part, h.config.Device = NewPart(long), long
	h.part.Want(&h.config)
	h.part.Update([]Peer{h.peer()}, nil)
	h.ensure(t)
	ping(t, "c1", "10.244.2.2")
	now, _ := groNames(long)
	linktest.In(t, h.name, func() error {
		if former := indexOf(formerGRO(long)); former != 0 {
			t.Errorf("device %s is still there", formerGRO(long))
		}
		if pairs := presentGRO(long); !slices.Equal(pairs, []string{now}) {
			t.Errorf("the pairs are %q, want %s", pairs, now)
		}
		_, _, err := makeGRO(other, formerGRO(other), "flannelblugro1", 1472)
		return err
	})
	linktest.In(t, h.name, func() error { return h.part.Remove(t.Context()) })
	linktest.In(t, h.name, func() error {
		if indexOf(now) != 0 || indexOf(formerGRO(other)) == 0 {
			t.Error("the pair of this device is still there, or that of another one is gone")
		}
		return nil
	})
}
