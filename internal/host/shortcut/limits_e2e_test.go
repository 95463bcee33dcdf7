// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// The try tells flags that the kernel knows from others. What it says of
// BPF_F_ADJ_ROOM_DECAP_L4_UDP is what the kernel's own types say.
func TestFlagsOfDecapsulationAreFoundByATry(t *testing.T) {
	values := flagsOfAdjustRoom(t)
	const ours = "BPF_F_ADJ_ROOM_DECAP_L4_UDP"
	if value, known := values[ours]; known && value != decapL4UDP {
		t.Errorf("%s is %#x in this kernel", ours, value)
	}
	for flag, want := range map[uint64]bool{
		decapL4UDP:                             values[ours] != 0,
		values["BPF_F_ADJ_ROOM_DECAP_L3_IPV4"]: true,
		1 << 40:                                false, // no kernel has it
	} {
		if got, err := shrinksWith(flag); err != nil || got != want {
			t.Errorf("flag %#x: the try says %t, %v; the kernel's types say %t", flag, got, err, want)
		}
	}
}

// flagsOfAdjustRoom are the flags of bpf_skb_adjust_room, by name, in the types
// of the kernel.
func flagsOfAdjustRoom(t *testing.T) map[string]uint64 {
	t.Helper()
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]uint64{}
	for each, err := range kernel.All() { // before Linux 7.3 the enum has no name
		if err != nil {
			t.Fatal(err)
		}
		if flags, ok := each.(*btf.Enum); ok {
			for _, v := range flags.Values {
				if strings.HasPrefix(v.Name, "BPF_F_ADJ_ROOM_") {
					values[v.Name] = v.Value
				}
			}
		}
	}
	if len(values) == 0 {
		t.Fatal("the kernel's types have no such flags")
	}
	return values
}

// A kernel that lacks a helper lacks the short-cut, and is not asked to load
// the programs again and again.
func TestKernelThatRefusesProgramsLacksTheShortcut(t *testing.T) {
	_, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.BuiltinFunc(100_000).Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	var l *lack
	if err := explain(err); !errors.As(err, &l) || !strings.Contains(l.why, "does not accept the programs") {
		t.Errorf("explained as %+v", err)
	}
}

// Without the rights for bpf(2) the state names them, and nothing is left
// behind.
func TestWithoutRightsStateNamesThem(t *testing.T) {
	if err := mountBPF(); err != nil { // for this namespace alone
		t.Fatal(err)
	}
	linktest.Script(t, "ip netns add h1\n"+`
		ip -n h1 link add eth0 type veth peer name eth1
		ip -n h1 tuntap add dev flannel0 mode tun`)
	linktest.Teardown(t, "ip netns delete h1")
	p := NewPart("flannel0")
	p.Want(&Config{Device: "flannel0", Underlay: "eth0", Lease: testPeer(1).Prefix, Endpoint: testPeer(1).Endpoint, MTU: 1472})
	p.Update(nil, nil)
	linktest.In(t, "h1", func() error { // the thread ends with the function
		if err := keepOnly(unix.CAP_NET_ADMIN); err != nil {
			return err
		}
		if _, err := p.Ensure(t.Context()); err != nil {
			return err
		}
		if s := p.State(); s.Ready || !strings.Contains(s.Why, "CAP_BPF") {
			t.Errorf("state %+v", s)
		}
		if present := p.Present(); present != nil {
			t.Errorf("left behind: %q", present)
		}
		return nil
	})
}

// keepOnly gives up all capabilities of this thread but one, which is among the
// first 32.
func keepOnly(capability int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << capability, Permitted: 1 << capability}}
	return unix.Capset(&header, &data[0])
}

// Of more peers than the kernel's maps hold, some are left to user space.
// Status says so, and the others are carried.
func TestMorePeersThanFitAreLeftToUserSpace(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	full := "some peers are left to user space"
	all := manyPeers(maxSlots) // one too many, with the other host
	drain(h.part.Due())
	h.part.Update(all, nil)
	select {
	case <-h.part.Due():
	default:
		t.Error("no further Ensure is due")
	}
	h.ensure(t)
	if notes := strings.Join(h.part.State().Notes, "\n"); !strings.Contains(notes, full) {
		t.Errorf("notes %q", notes)
	}
	ping(t, "c1", "10.244.2.2")
	h.part.Update(nil, prefixes(all[:1]))
	h.ensure(t)
	if notes := strings.Join(h.part.State().Notes, "\n"); strings.Contains(notes, full) {
		t.Errorf("notes when all fit: %q", notes)
	}
	ping(t, "c1", "10.244.2.2")
}

// A container can let its bridge learn any number of addresses. Those that the
// kernel's map has no room for cost speed, and nothing else.
func TestBridgeFullOfAddressesKeepsTheShortcut(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[1]
	follow(t, h)
	var add strings.Builder
	for i := range maxStations + 300 {
		fmt.Fprintf(&add, "fdb add 02:00:00:00:%02x:%02x dev port master static\n", i>>8, i&0xff)
	}
	batch := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(batch, []byte(add.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	linktest.Run(t, "ip netns exec h2 bridge -batch "+batch)
	h.ensure(t)
	if notes := strings.Join(h.part.State().Notes, "\n"); !strings.Contains(notes, "bridges know too many addresses") {
		t.Errorf("notes %q", notes)
	}
	ping(t, "c1", "10.244.2.2")
	transfer(t, "c1", "c2", "10.244.2.2", 4<<20)
	drain(h.part.Due())
	linktest.Run(t, "ip netns exec h2 bridge fdb add 02:00:00:01:00:00 dev port master static")
	linktest.Run(t, "ip netns exec h2 bridge fdb del 02:00:00:01:00:00 dev port master")
	select {
	case <-h.part.Due():
		t.Error("an address without room makes an Ensure due, which finds no room either")
	default:
	}
	linktest.Run(t, "ip netns exec h2 ip link set port nomaster")
	linktest.Run(t, "ip netns exec h2 ip link set port master docker0")
	h.ensure(t)
	if notes := strings.Join(h.part.State().Notes, "\n"); strings.Contains(notes, "too many") {
		t.Errorf("notes when all fit: %q", notes)
	}
	ping(t, "c1", "10.244.2.2")
}

// A thousand peers go and another thousand come, again and again: the kernel
// has those that are wanted and no others, new ones begin with no traffic, and
// no packet to a peer that stays is lost.
func TestAThousandPeersGiveWayToOthers(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	all := manyPeers(2000)
	crowds := [][]Peer{all[:1000], all[1000:]}
	h.part.Update(crowds[1], nil)
	pinger := exec.Command("ip", "netns", "exec", "c1", "ping", "-q", "-n", "-i", "0.002", "-c", "1000", "10.244.2.2")
	var out strings.Builder
	pinger.Stdout = &out
	if err := pinger.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		come, gone := crowds[i%2], crowds[1-i%2]
		linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.01 " + gone[0].Prefix.Addr().Next().String())
		h.part.Update(come, prefixes(gone))
		h.ensure(t)
		want := map[netip.Prefix]bool{h.peer().Prefix: true}
		for _, p := range come {
			want[p.Prefix] = true
		}
		if have := inKernel(t, h); !maps.Equal(have, want) {
			t.Fatalf("round %d: the kernel has %d peers, want %d, or others", i, len(have), len(want))
		}
		for prefix, traffic := range h.part.Traffic(prefixes(come)...) {
			if traffic != (Traffic{}) {
				t.Errorf("round %d: %s begins with %+v", i, prefix, traffic)
			}
		}
	}
	if err := pinger.Wait(); err != nil || !strings.Contains(out.String(), "1000 received") {
		t.Errorf("pings: %v\n%s", err, out.String())
	}
}

// inKernel reads which peers the programs know.
func inKernel(t *testing.T, h *end) map[netip.Prefix]bool {
	t.Helper()
	have := map[netip.Prefix]bool{}
	var key, value []byte
	each := h.part.programs.Peers.Iterate()
	for each.Next(&key, &value) {
		addr := netip.AddrFrom4([4]byte(key[4:8]))
		have[netip.PrefixFrom(addr, int(binary.NativeEndian.Uint32(key)))] = true
	}
	if err := each.Err(); err != nil {
		t.Fatal(err)
	}
	return have
}

// Isolation of containers on one bridge (Docker's icc=false, isolated ports)
// does not concern packets from other hosts: superpackets arrive whole.
func TestIsolatedContainersGetSuperpackets(t *testing.T) {
	hosts := twoHosts(t)
	linktest.Script(t, `
		ip netns add c3
		ip -n h2 link add port3 type veth peer name eth0 netns c3
		ip -n h2 link set port3 master docker0 up
		ip -n c3 link set eth0 up
		ip -n c3 address add 10.244.2.3/24 dev eth0
		ip netns exec h2 iptables -A FORWARD -i docker0 -o docker0 -j DROP
		ip -n h2 link set port type bridge_slave isolated on
		ip -n h2 link set port3 type bridge_slave isolated on`)
	linktest.Teardown(t, "ip netns delete c3")
	hosts[1].ensure(t)
	segments, whole := hosts[1].part.Total().Received.Packets, received(t, "c2")
	transfer(t, "c1", "c2", "10.244.2.2", 16<<20)
	segments, whole = hosts[1].part.Total().Received.Packets-segments, received(t, "c2")-whole
	if segments == 0 || whole > segments/4 {
		t.Errorf("%d segments reached the container in %d packets", segments, whole)
	}
	if _, err := linktest.Try("ip netns exec c3 ping -q -n -c 2 -i 0.1 -W 0.5 10.244.2.2"); err == nil {
		t.Error("a container reaches its isolated neighbor")
	}
}
