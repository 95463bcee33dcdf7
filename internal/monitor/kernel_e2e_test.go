// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package monitor

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/dataplane"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// adapter joins two hosts as their network cards do, and does to frames what it
// is told to.
type adapter struct {
	mu      sync.Mutex
	largest int                             // longer frames are lost; 0: none are
	breaks  func(frame []byte, at int) bool // a checksum that is left to it, and is of bytes from there on
}

func (a *adapter) set(f func(*adapter)) { a.mu.Lock(); defer a.mu.Unlock(); f(a) }

// headersLen is the length of an Ethernet and an IP header.
const headersLen = 14 + 20

// tunneled is a checksum inside of VXLAN.
func tunneled(_ []byte, at int) bool { return at > headersLen }

// bare is the checksum of TCP outside.
func bare(frame []byte, at int) bool { return at == headersLen && frame[14+9] == unix.IPPROTO_TCP }

// carry moves frames from one packet socket to another until from is closed.
func (a *adapter) carry(from, to int) {
	const header = 10 // struct virtio_net_hdr
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(from, b)
		if err == unix.EBADF || err == unix.ENETDOWN {
			return
		}
		if err != nil || n <= header {
			continue
		}
		a.mu.Lock()
		lost := a.largest > 0 && n-header > a.largest
		// Not to compute the checksum is what broken cards do.
		if start := int(binary.NativeEndian.Uint16(b[6:])); b[0]&1 != 0 && a.breaks != nil && a.breaks(b[header:n], start) {
			clear(b[:header])
		}
		a.mu.Unlock()
		if !lost {
			_, _ = unix.Write(to, b[:n])
		}
	}
}

// plugged opens a packet socket on a device, which gets what comes in.
func plugged(device string) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	on, err := net.InterfaceByName(device)
	if err != nil {
		return 0, err
	}
	const ignoreOutgoing = 23 // PACKET_IGNORE_OUTGOING
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, ignoreOutgoing, 1); err != nil {
		return 0, err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return 0, err
	}
	all := uint16(unix.ETH_P_ALL)
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: on.Index})
}

// twoHosts makes this host, another one in namespace b, and an adapter between
// their devices eth0. They have VXLAN devices, too. This host drops what its
// connection tracking does not know.
func twoHosts(t *testing.T) *adapter {
	t.Helper()
	linktest.Script(t, `
		ip netns add b
		ip netns add r
		ip link add eth0 address 02:00:00:00:00:0a type veth peer name ra netns r
		ip link add b0 address 02:00:00:00:00:0b netns b type veth peer name rb netns r
		ip -n b link set b0 name eth0
		ip -n r link set ra up
		ip -n r link set rb up
		ip address add 192.0.2.1/24 dev eth0
		ip -n b address add 192.0.2.2/24 dev eth0
		ip link set eth0 up
		ip -n b link set eth0 up
		ip -n b link set lo up
		ethtool -K eth0 tso off gso off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off
		ip netns exec b ethtool -K eth0 tso off gso off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off
		ip link add flannel.1 mtu 1450 type vxlan id 1 dstport 8472 local 192.0.2.1 dev eth0 nolearning
		ip -n b link add flannel.1 mtu 1450 type vxlan id 1 dstport 8472 local 192.0.2.2 dev eth0 nolearning`)
	linktest.Run(t, "ip link set flannel.1 address "+plan.MACOf(plantest.ID("a")).String())
	linktest.Run(t, "ip -n b link set flannel.1 address "+plan.MACOf(plantest.ID("b")).String())
	linktest.Script(t, `
		ip address add 10.244.1.0/32 dev flannel.1
		ip -n b address add 10.244.2.0/32 dev flannel.1
		ip link set flannel.1 up
		ip -n b link set flannel.1 up
		ip -n b route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink src 10.244.2.0
		nft add table ip t
		nft add chain ip t input { type filter hook input priority 0 ; }
		nft add rule ip t input ct state invalid counter drop`)
	linktest.Run(t, "bridge fdb add "+plan.MACOf(plantest.ID("b")).String()+" dev flannel.1 dst 192.0.2.2")
	linktest.Run(t, "bridge -n b fdb add "+plan.MACOf(plantest.ID("a")).String()+" dev flannel.1 dst 192.0.2.1")
	linktest.Run(t, "ip -n b neigh add 10.244.1.0 lladdr "+plan.MACOf(plantest.ID("a")).String()+" dev flannel.1")

	a := &adapter{}
	var fds [2]int
	linktest.In(t, "r", func() (err error) {
		for i, device := range []string{"ra", "rb"} {
			if fds[i], err = plugged(device); err != nil {
				return err
			}
		}
		return nil
	})
	var carrying sync.WaitGroup
	carrying.Go(func() { a.carry(fds[0], fds[1]) })
	carrying.Go(func() { a.carry(fds[1], fds[0]) })
	t.Cleanup(func() {
		linktest.Script(t, "ip link delete flannel.1\nip link delete eth0\nip netns delete b\nip netns delete r\nnft delete table ip t")
		carrying.Wait()
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return a
}

// watched is a monitor of this host's paths to host b.
type watched struct {
	*Monitor
	t      *testing.T
	routes *dataplane.Routes
}

// watch proves paths until the test ends. offload, unless nil, is called to
// switch off checksum offload of the VXLAN device.
func watch(t *testing.T, offload func(plan.Path, bool) error, backend ...plan.Path) *watched {
	t.Helper()
	w := &watched{t: t, routes: dataplane.NewRoutes()}
	b := plantest.Node("b", peers.Alive, 2)
	b.MTU, b.Caps = 1450, plan.Announced(backend, 8472, 1, nil)
	s := plantest.Snapshot(peers.Confirmed, b)
	log := slog.New(slog.DiscardHandler)
	replan := make(chan struct{}, 1)
	store := func() {
		p := plan.Make(plan.Input{
			Snapshot: s, Backend: backend, VNI: 1,
			Near: func(netip.Addr) (string, net.HardwareAddr, string) {
				return "eth0", net.HardwareAddr{2, 0, 0, 0, 0, 0x0b}, ""
			},
			Proof: func(id string, p plan.Path) plan.Proof {
				if w.Monitor == nil {
					return plan.Proof{}
				}
				return w.Proof(id, p)
			},
		})
		if err := w.routes.Store(p, s, log); err != nil {
			t.Error(err)
		}
	}
	store()
	began := time.Now()
	w.Monitor = New(Config{
		Plane: &fakePlane{sent: map[netip.AddrPort]int{}}, Routes: w.routes, Snapshot: func() *peers.Snapshot { return s },
		Here: func() netip.Addr { return netip.MustParseAddr("192.0.2.1") }, Port: 8285, Log: log, Crossed: func() {},
		Problems: problem.NewBoard(log), Rules: ruleset.NewHub(),
		Replan: func() {
			select {
			case replan <- struct{}{}:
			default:
			}
		},
		Kernel: &Kernel{
			VXLAN: func() string { return "flannel.1" }, IPIP: "flannel.ipip", Underlay: func() string { return "eth0" }, SetChecksumOffload: offload,
			Traffic: func() (map[TrafficKey]Traffic, map[netip.Prefix]Traffic) { // always busy
				n := Traffic{Packets: 100 * uint64(time.Since(began)/time.Second)}
				return map[TrafficKey]Traffic{
					{plan.PathVXLAN, b.Lease.Prefix}: n, {plan.PathDirect, b.Lease.Prefix}: n, {plan.PathIPIP, b.Lease.Prefix}: n,
				}, nil
			},
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { w.proofs.run(ctx) })
	all.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-replan:
				store()
				w.proofs.aim()
			}
		}
	})
	t.Cleanup(func() { cancel(); all.Wait() })
	return w
}

// becomes waits until a path's proof is this, and says this.
func (w *watched) becomes(p plan.Path, want plan.ProofState, why string, within time.Duration) {
	w.t.Helper()
	id, began := plantest.Key("b"), time.Now()
	for {
		got := w.Proof(id, p)
		if got.State == want && strings.Contains(got.Why, why) {
			w.t.Logf("%s is %s after %v", p, want, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > within {
			r, _ := w.Result(id, p)
			w.t.Fatalf("%s is %v %q after %v: %+v", p, got.State, got.Why, within, r)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

const (
	provenSoon = 5 * time.Second
	leftSoon   = 8 * time.Second // 5 under traffic, as virtual time shows; more where the machine is emulated
	busySoon   = 3 * time.Second // until traffic is noticed
)

func TestKernelPathsAreProvenAndLeft(t *testing.T) {
	a := twoHosts(t)
	for _, p := range []plan.Path{plan.PathVXLAN, plan.PathDirect} {
		t.Run(string(p), func(t *testing.T) {
			w := watch(t, nil, p, plan.PathUDP)
			w.becomes(p, plan.Proven, "", provenSoon)
			if r, _ := w.Result(plantest.Key("b"), p); r.Sums == 0 || r.Size != 1450 || r.RTT == 0 || r.Lost > 1 {
				t.Errorf("got %+v", r)
			}
			if r, err := w.Ping(t.Context(), plantest.Key("b"), p, 3, 0); err != nil || r.Received != 3 || r.Largest != 1450 {
				t.Errorf("ping: %+v, %v", r, err)
			}
			time.Sleep(busySoon)
			a.set(func(a *adapter) { a.largest = 1000 })
			defer a.set(func(a *adapter) { a.largest = 0 })
			w.becomes(p, plan.Failed, "packets of 1450 bytes are lost", leftSoon)
		})
		t.Run(string(p)+", broken checksums", func(t *testing.T) {
			w := watch(t, nil, p, plan.PathUDP)
			w.becomes(p, plan.Proven, "", provenSoon)
			time.Sleep(busySoon)
			a.set(func(a *adapter) {
				if a.breaks = tunneled; p == plan.PathDirect {
					a.breaks = bare
				}
			})
			defer a.set(func(a *adapter) { a.breaks = nil })
			w.becomes(p, plan.Failed, "arrive broken", leftSoon)
			w = watch(t, nil, p, plan.PathUDP)
			w.becomes(p, plan.Failed, "arrive broken", 2*leftSoon)
		})
		t.Run(string(p)+", TCP is filtered", func(t *testing.T) {
			linktest.Script(t, `
				ip netns exec b nft add table ip t
				ip netns exec b nft add chain ip t input { type filter hook input priority 0 ; }
				ip netns exec b nft add rule ip t input meta l4proto tcp drop`)
			defer linktest.Run(t, "ip netns exec b nft delete table ip t")
			watch(t, nil, p, plan.PathUDP).becomes(p, plan.Proven, "", 2*provenSoon)
		})
		t.Run(string(p)+", cut", func(t *testing.T) {
			w := watch(t, nil, p, plan.PathUDP)
			w.becomes(p, plan.Proven, "", provenSoon)
			time.Sleep(busySoon)
			a.set(func(a *adapter) { a.largest = 1 })
			defer a.set(func(a *adapter) { a.largest = 0 })
			w.becomes(p, plan.Failed, "not answered", leftSoon)
		})
	}
	t.Run("the tunnel's offload is switched off", func(t *testing.T) {
		switched := make(chan struct{})
		w := watch(t, func(p plan.Path, on bool) error {
			close(switched)
			linktest.Run(t, "ethtool -K flannel.1 tx-checksum-ip-generic off")
			return nil
		}, plan.PathVXLAN, plan.PathUDP)
		w.becomes(plan.PathVXLAN, plan.Proven, "", provenSoon)
		a.set(func(a *adapter) { a.breaks = tunneled })
		<-switched
		for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if got := w.Proof(plantest.Key("b"), plan.PathVXLAN); got.State != plan.Proven {
				t.Fatalf("got %+v", got)
			}
		}
		w.becomes(plan.PathVXLAN, plan.Proven, "", 0)
		if r, _ := w.Result(plantest.Key("b"), plan.PathVXLAN); r.Sums != 1 {
			t.Errorf("got %+v", r)
		}
	})
	if rules := linktest.Run(t, "nft list table ip t"); strings.Contains(rules, "packets 0 ") {
		t.Errorf("no answer was dropped after it was received: the test proves nothing of filters\n%s", rules)
	}
}

// IPIP is proven where both kernels have it, and answers come back by it. Where
// this kernel has it not, the path is left.
func TestIPIPIsProvenWhereTheKernelHasIt(t *testing.T) {
	a := twoHosts(t)
	_, err := linktest.Try("ip link add flannel.ipip type ipip local 192.0.2.1 remote any")
	if err != nil {
		w := watch(t, nil, plan.PathIPIP, plan.PathUDP)
		w.becomes(plan.PathIPIP, plan.Failed, "not answered", 15*time.Second)
		return
	}
	t.Cleanup(func() { linktest.Try("ip link delete flannel.ipip") })
	linktest.Script(t, `
		ip link set flannel.ipip mtu 1450 up
		ip -n b link add flannel.ipip type ipip local 192.0.2.2 remote any
		ip -n b link set flannel.ipip mtu 1450 up
		ip -n b route replace 10.244.1.0/24 via 192.0.2.1 dev flannel.ipip onlink src 10.244.2.0`)
	w := watch(t, nil, plan.PathIPIP, plan.PathUDP)
	w.becomes(plan.PathIPIP, plan.Proven, "", provenSoon)
	if r, err := w.Ping(t.Context(), plantest.Key("b"), plan.PathIPIP, 3, 0); err != nil || r.Received != 3 || r.Largest != 1450 {
		t.Errorf("ping: %+v, %v", r, err)
	}
	time.Sleep(busySoon)
	a.set(func(a *adapter) { a.largest = 1000 })
	w.becomes(plan.PathIPIP, plan.Failed, "packets of 1450 bytes are lost", leftSoon)
}
