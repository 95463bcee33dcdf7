// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/dataplane"
	"flanneld/internal/host/link"
	"flanneld/internal/host/packetsocket"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/packet"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
	"flanneld/route"
)

// way is what the network does with packets to one peer by one path.
type way struct {
	cut     bool
	largest int  // longer packets are lost; 0: none are
	broken  bool // checksums that are left to the device arrive broken
	always  bool // also without offload
	silent  bool // TCP is filtered
	near    bool // for PathDirect: the peer is on the segment
	aside   bool // for PathShortcut: user space of the peer has the packet before its kernel

	packets, bytes int
}

// laboratory is a monitor's proofs with a network and a daemon around them.
type laboratory struct {
	*Monitor
	t        *testing.T
	backend  []plan.Path
	snapshot *peers.Snapshot
	routes   *dataplane.Routes
	replan   chan struct{}

	macs map[string]netip.Addr // of VXLAN devices

	mu       sync.Mutex
	ways     map[plan.Path]map[netip.Addr]*way
	offload  bool // the VXLAN device leaves checksums to the next device
	switched int
	rate     uint64 // packets a second from each of the first peers
	sending  uint64 // packets a second to each of them
	talkers  int    // how many these are
	// conversing: the peers send only what answers packets that arrive there.
	// Where these are lost, a few are sent again.
	conversing bool
	gaps       bool      // every fifth second, nothing comes from any peer
	counted    time.Time // when packets were counted last
	fromPeers  map[TrafficKey]uint64
	toPeers    map[netip.Prefix]uint64
	plans      int
	received   map[string]int // by device: how often answers were listened for
	shortcut   bool           // this host and all peers have it
}

var labStamp = probe.Stamp{Asked: [8]byte([]byte("fldprobe")), Seen: [8]byte([]byte("fldprobS"))}

const labMark = 77

const (
	labOverlay = "flannel-none"
	labMTU     = 1450
	labDevice  = "flannel.1"
	labUnder   = "eth0"
	labIPIP    = "flannel.ipip"
	labVXLAN   = 8472
	labNetwork = "10.0.0.0/8"
)

var labHere = netip.MustParseAddr("192.0.2.1")

// peerNumber makes the node with this number, from 1 on. Number 1 is this node.
func peerNumber(i int, backend []plan.Path) peers.NodeInfo {
	n := plantest.Node(fmt.Sprintf("n%04d", i), peers.Alive, 1)
	host := netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)})
	if i == 1 {
		host, n.Self = labHere, true
	}
	n.Endpoint, n.MTU = netip.AddrPortFrom(host, 8285), labMTU
	n.Lease.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
	n.Caps = plan.Announced(backend, labVXLAN, 1, nil)
	return n
}

// newLaboratory makes one with some peers. It is to be called in a bubble of
// testing/synctest.
func newLaboratory(t *testing.T, count int, backend ...plan.Path) *laboratory {
	t.Helper()
	return laboratoryWith(t, count, false, backend...)
}

// laboratoryWith makes one where the hosts may have the short-cut.
func laboratoryWith(t *testing.T, count int, shortcut bool, backend ...plan.Path) *laboratory {
	t.Helper()
	l := &laboratory{
		shortcut: shortcut,
		t:        t, backend: backend, routes: dataplane.NewRoutes(), replan: make(chan struct{}, 1), offload: true, talkers: 1, counted: time.Now(),
		fromPeers: map[TrafficKey]uint64{}, toPeers: map[netip.Prefix]uint64{},
		ways: map[plan.Path]map[netip.Addr]*way{}, received: map[string]int{}, macs: map[string]netip.Addr{},
	}
	self := peerNumber(1, backend)
	l.snapshot = &peers.Snapshot{Self: self, View: peers.View{
		Network: peers.Network{Prefix: netip.MustParsePrefix(labNetwork)}, Lease: peers.Confirmed, Nodes: []peers.NodeInfo{self},
	}}
	for _, p := range []plan.Path{plan.PathUDP, plan.PathDirect, plan.PathVXLAN, plan.PathIPIP, plan.PathShortcut} {
		l.ways[p] = map[netip.Addr]*way{}
		for i := range count {
			l.ways[p][peerNumber(2+i, nil).Endpoint.Addr()] = &way{near: true}
		}
	}
	for i := range count {
		n := peerNumber(2+i, backend)
		if shortcut {
			n.Caps = append(n.Caps, plan.AnnouncedShortcut())
		}
		l.snapshot.Nodes = append(l.snapshot.Nodes, n)
		l.macs[plan.MACOf(n.ID).String()] = n.Endpoint.Addr()
	}
	log := slog.New(slog.DiscardHandler)
	l.store(log)
	l.Monitor = New(Config{
		Plane: labPlane{l}, Routes: l.routes, Snapshot: func() *peers.Snapshot { return l.snapshot }, Here: func() netip.Addr { return labHere },
		Port: 8285, Problems: problem.NewBoard(log), Rules: ruleset.NewHub(), Log: log,
		Replan: func() {
			select {
			case l.replan <- struct{}{}:
			default:
			}
		},
		Kernel: &Kernel{
			VXLAN: vxlanDevice, IPIP: labIPIP, Underlay: func() string { return labUnder }, Wire: l,
			SetChecksumOffload: func(p plan.Path, on bool) error { l.set(func() { l.offload = on; l.switched++ }); return nil },
			Traffic:            l.traffic,
			Shortcut:           &Shortcut{Device: func() string { return labOverlay }, Mark: labMark, Stamp: labStamp},
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { l.proofs.run(ctx) })
	all.Go(func() { l.daemon(ctx, log) })
	t.Cleanup(func() { cancel(); all.Wait() })
	return l
}

// daemon makes the plan anew when proofs have changed.
func (l *laboratory) daemon(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.replan:
			l.plans++
			l.store(log)
			l.proofs.aim()
		}
	}
}

func (l *laboratory) store(log *slog.Logger) {
	p := plan.Make(plan.Input{
		Shortcut: func() string {
			if l.shortcut {
				return ""
			}
			return "the test has none"
		},
		Snapshot: l.snapshot, Backend: l.backend, VNI: 1,
		Near: func(a netip.Addr) (string, net.HardwareAddr, string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if !l.ways[plan.PathDirect][a].near {
				return "", nil, "behind a router"
			}
			four := a.As4()
			return labUnder, append(net.HardwareAddr{2, 0}, four[:]...), ""
		},
		Proof: func(id string, p plan.Path) plan.Proof {
			if l.Monitor == nil {
				return plan.Proof{}
			}
			return l.Proof(id, p)
		},
	})
	if err := l.routes.Store(p, l.snapshot, log); err != nil {
		l.t.Error(err)
	}
}

func (l *laboratory) set(f func()) { l.mu.Lock(); defer l.mu.Unlock(); f() }

// to is what the network does with packets to the first peer.
func (l *laboratory) to(p plan.Path) *way { return l.ways[p][l.snapshot.Nodes[1].Endpoint.Addr()] }

func (l *laboratory) id() string { return l.snapshot.Nodes[1].ID.String() }

// used is the path that packets take to the first peer.
func (l *laboratory) used() plan.Path {
	for _, r := range l.routes.Plan().Routes {
		if r.ID == l.id() && r.Kind == route.Via {
			return r.Path
		}
	}
	return "none"
}

// uses waits until packets take a path to the first peer.
func (l *laboratory) uses(p plan.Path, within time.Duration, when string) {
	l.t.Helper()
	began := time.Now()
	for l.used() != p && time.Since(began) < within+time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(began)
	if took > within {
		l.t.Errorf("%s: %s after %v, want it within %v", when, l.used(), took, within)
	}
	l.t.Logf("%s: %s after %v", when, l.used(), took)
}

// stays holds that packets take a path for a time.
func (l *laboratory) stays(p plan.Path, d time.Duration, when string) {
	l.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if used := l.used(); used != p {
			l.t.Errorf("%s: %s at %v, want %s", when, used, time.Until(end), p)
			return
		}
	}
}

func (l *laboratory) traffic() (arrived map[TrafficKey]Traffic, sent map[netip.Prefix]Traffic) {
	const again = 2 // packets a second
	arrived, sent = map[TrafficKey]Traffic{}, map[netip.Prefix]Traffic{}
	l.set(func() {
		seconds := uint64(time.Since(l.counted) / time.Second)
		l.counted = l.counted.Add(time.Duration(seconds) * time.Second)
		for _, n := range l.snapshot.Nodes[1 : 1+l.talkers] {
			lost := false
			for _, p := range []plan.Path{plan.PathDirect, plan.PathVXLAN, plan.PathIPIP} {
				w, key := l.ways[p][n.Endpoint.Addr()], TrafficKey{p, n.Lease.Prefix}
				hurt := l.conversing && (w.cut || w.largest > 0 || w.broken)
				if !hurt && !(l.gaps && time.Now().Unix()%5 == 0) {
					l.fromPeers[key] += l.rate * seconds
				}
				lost = lost || hurt
				arrived[key] = Traffic{Packets: l.fromPeers[key]}
			}
			rate := l.sending
			if lost {
				rate = again
			}
			l.toPeers[n.Lease.Prefix] += rate * seconds
			sent[n.Lease.Prefix] = Traffic{Packets: l.toPeers[n.Lease.Prefix]}
		}
	})
	return arrived, sent
}

// pass takes a packet to a peer by a path, and gives the answer to all probers.
func (l *laboratory) pass(p plan.Path, to netip.Addr, b []byte, checksum bool, segment int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.ways[p][to]
	if w == nil {
		return errors.New("no such peer")
	}
	pieces, size := 1, len(b)
	if segment > 0 {
		pieces, size = (len(b)-40+segment-1)/segment, segment+40
	}
	w.packets += pieces
	w.bytes += len(b) + (pieces-1)*40 + pieces*p.Overhead()
	tcp := b[9] == packet.TCP
	if w.cut || w.largest > 0 && size > w.largest || tcp && (w.silent || w.broken && checksum && (l.offload || w.always)) {
		return nil
	}
	answer, by := echoReply(b), p
	if p == plan.PathShortcut && !w.aside && [8]byte(b[36:]) == labStamp.Asked {
		copy(answer[36:], labStamp.Seen[:])
		packet.SetICMPChecksum(answer[packet.HeaderLen:])
	}
	if tcp {
		answer, by = reset(b), plan.PathUDP
	}
	w.bytes += len(answer) + p.Overhead()
	time.AfterFunc(2*time.Millisecond, func() {
		if !l.answers(answer, by) {
			l.t.Error("an answer that no prober knows")
		}
	})
	return nil
}

func echoReply(request []byte) []byte {
	b := slices.Clone(request)
	copy(b[12:16], request[16:20])
	copy(b[16:20], request[12:16])
	b[packet.HeaderLen] = packet.ICMPEchoReply
	packet.SetICMPChecksum(b[packet.HeaderLen:])
	return b
}

func reset(request []byte) []byte {
	b := make([]byte, 40)
	asked, tcp := request[packet.HeaderLen:], b[packet.HeaderLen:]
	copy(tcp, asked[2:4])
	copy(tcp[2:], asked[:2])
	copy(tcp[4:], asked[8:12])
	tcp[12], tcp[13] = 5<<4, 0x04
	p := packet.Packet(request)
	return packet.Header{TTL: 64, Protocol: packet.TCP, Source: p.Destination(), Destination: p.Source()}.Put(b)
}

// labPlane is the laboratory as the data plane.
type labPlane struct{ l *laboratory }

func (p labPlane) Lease() netip.Prefix { return p.l.snapshot.Self.Lease.Prefix }
func (labPlane) Network() netip.Prefix { return netip.MustParsePrefix(labNetwork) }
func (labPlane) Link() link.Config     { return link.Config{Name: labOverlay, MTU: labMTU} }
func (labPlane) Inject([]byte) error   { return nil }
func (p labPlane) Send(to netip.AddrPort, b []byte) (int, error) {
	return 0, p.l.pass(plan.PathUDP, to.Addr(), b, false, 0)
}

// The laboratory is the wire of its monitor.
func (l *laboratory) Close() error { return nil }

func (l *laboratory) Send(device string, to net.HardwareAddr, b []byte, o packetsocket.Offload) error {
	if device == labUnder {
		return l.pass(plan.PathDirect, netip.AddrFrom4([4]byte(to[2:])), b, o.Checksum, o.Segment)
	}
	return l.pass(plan.PathVXLAN, l.macs[to.String()], b, o.Checksum, o.Segment)
}

func (l *laboratory) SendMarked(device string, mark uint32, b []byte, o packetsocket.Offload) error {
	if device != labOverlay || mark != labMark {
		l.t.Errorf("a probe of the short-cut leaves by %s with mark %d", device, mark)
	}
	to := netip.AddrFrom4([4]byte(b[16:20]))
	for _, n := range l.snapshot.Nodes {
		if n.Lease.Prefix.Contains(to) {
			return l.pass(plan.PathShortcut, n.Endpoint.Addr(), b, o.Checksum, o.Segment)
		}
	}
	return errors.New("no such peer")
}

func (l *laboratory) SendIPIP(_, remote netip.Addr, b []byte) error {
	return l.pass(plan.PathIPIP, remote, b, false, 0)
}

func (l *laboratory) Receive(ctx context.Context, device string, to netip.Addr, _ func([]byte)) error {
	l.set(func() { l.received[device]++ })
	if to != l.snapshot.Self.Lease.Prefix.Addr() {
		l.t.Errorf("answers for %s are received", to)
	}
	<-ctx.Done()
	return nil
}

var auto = []plan.Path{plan.PathDirect, plan.PathVXLAN, plan.PathUDP}

func TestTheBestPathThatWorksIsUsed(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend []plan.Path
		hurt    func(*laboratory)
		want    plan.Path
	}{
		{"all work", auto, func(*laboratory) {}, plan.PathDirect},
		{"behind a router", auto, func(l *laboratory) { l.to(plan.PathDirect).near = false }, plan.PathVXLAN},
		{"direct is dropped", auto, func(l *laboratory) { l.to(plan.PathDirect).cut = true }, plan.PathVXLAN},
		{"only small ones pass", auto, func(l *laboratory) { l.to(plan.PathDirect).largest = 1000 }, plan.PathVXLAN},
		{"checksums break on direct", auto, func(l *laboratory) { l.to(plan.PathDirect).broken = true }, plan.PathVXLAN},
		{"TCP is filtered", auto, func(l *laboratory) { l.to(plan.PathDirect).silent = true }, plan.PathDirect},
		{"nothing but udp", auto, func(l *laboratory) { l.to(plan.PathDirect).cut, l.to(plan.PathVXLAN).cut = true, true }, plan.PathUDP},
		{"ipip", []plan.Path{plan.PathIPIP, plan.PathUDP}, func(*laboratory) {}, plan.PathIPIP},
		{"one path, which fails", []plan.Path{plan.PathVXLAN}, func(l *laboratory) { l.to(plan.PathVXLAN).cut = true }, "none"},
		{"udp", []plan.Path{plan.PathUDP}, func(*laboratory) {}, plan.PathUDP},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLaboratory(t, 1, c.backend...)
				l.set(func() { c.hurt(l) })
				l.store(l.cfg.Log)
				l.proofs.aim()
				time.Sleep(20 * time.Second)
				l.stays(c.want, 5*time.Minute, "after a while")
				if l.plans > 60 {
					t.Errorf("%d plans were made", l.plans)
				}
			})
		})
	}
}

// A path that breaks is left within 5 s under traffic and within 40 s at rest,
// and used again after it has healed.
func TestBrokenPathsAreLeftInTime(t *testing.T) {
	for name, hurt := range map[string]func(*way){
		"cut":              func(w *way) { w.cut = true },
		"large ones lost":  func(w *way) { w.largest = 1000 },
		"checksums broken": func(w *way) { w.broken = true },
	} {
		for traffic, within := range map[string]time.Duration{"at rest": 40 * time.Second, "arriving": 5 * time.Second, "sent": 5 * time.Second} {
			t.Run(name+", traffic "+traffic, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLaboratory(t, 1, auto...)
					l.set(func() {
						switch traffic {
						case "arriving":
							l.rate = 100
						case "sent":
							l.sending = 100
						}
					})
					l.uses(plan.PathDirect, 3*time.Second, "at the start")
					time.Sleep(5 * time.Minute)
					l.set(func() { hurt(l.to(plan.PathDirect)) })
					began := time.Now()
					for l.used() == plan.PathDirect && time.Since(began) < 2*within {
						time.Sleep(10 * time.Millisecond)
					}
					if took := time.Since(began); took > within {
						t.Errorf("left after %v", took)
					}
					l.uses(plan.PathVXLAN, 3*time.Second, "after direct was left")
					l.stays(plan.PathVXLAN, 5*time.Minute, "while direct is broken")
					l.set(func() { *l.to(plan.PathDirect) = way{near: true} })
					l.uses(plan.PathDirect, 12*time.Minute, "after it has healed")
					l.stays(plan.PathDirect, 5*time.Minute, "healed")
				})
			})
		}
	}
}

// Where a tunnel device's offload breaks checksums, it is switched off, and the
// path goes on.
func TestBrokenChecksumsOfATunnelAreMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaboratory(t, 1, plan.PathVXLAN, plan.PathUDP)
		l.uses(plan.PathVXLAN, 3*time.Second, "at the start")
		l.set(func() { l.to(plan.PathVXLAN).broken = true })
		l.stays(plan.PathVXLAN, 5*time.Minute, "with the offload switched off")
		l.set(func() {
			if l.offload {
				t.Error("the offload is still on")
			}
		})
	})
}

// Where that does not help, the offload is switched on again for the others.
func TestAnOffloadThatIsNotToBlameStaysOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaboratory(t, 2, plan.PathVXLAN, plan.PathUDP)
		l.uses(plan.PathVXLAN, 3*time.Second, "at the start")
		l.set(func() { l.to(plan.PathVXLAN).broken, l.to(plan.PathVXLAN).always = true, true })
		l.uses(plan.PathUDP, 90*time.Second, "with broken checksums")
		l.stays(plan.PathUDP, 10*time.Minute, "with broken checksums")
		l.set(func() {
			if !l.offload || l.switched != 2 {
				t.Errorf("the offload was switched %d times", l.switched)
			}
		})
	})
}

func TestAPathThatFlapsIsUsedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaboratory(t, 1, plan.PathVXLAN, plan.PathUDP)
		l.set(func() { l.rate = 100 })
		for range 360 {
			time.Sleep(5 * time.Second)
			l.set(func() { w := l.to(plan.PathVXLAN); w.cut = !w.cut })
		}
		if l.plans > 40 {
			t.Errorf("%d plans in an hour", l.plans)
		}
	})
}

func TestAPingGoesByThePathThatIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaboratory(t, 1, auto...)
		l.set(func() { l.to(plan.PathVXLAN).largest = 1300 })
		time.Sleep(20 * time.Second)
		for p, largest := range map[plan.Path]int{plan.PathDirect: 1450, plan.PathVXLAN: 1280, plan.PathUDP: 1450} {
			before := 0
			l.set(func() { before = l.to(p).packets })
			r, err := l.Ping(t.Context(), l.id(), p, 3, 0)
			if err != nil || r.Sent != 3 || r.Received != 3 || r.Max != 2*time.Millisecond || r.Largest != largest {
				t.Errorf("%s: %+v, %v", p, r, err)
			}
			l.set(func() {
				if l.to(p).packets < before+3 {
					t.Errorf("%s: packets went elsewhere", p)
				}
			})
		}
		for p, id := range map[plan.Path]string{plan.PathIPIP: l.id(), plan.PathUDP: "absent"} {
			if _, err := l.Ping(t.Context(), id, p, 1, 0); err == nil {
				t.Errorf("%s to %s: no error", p, id)
			}
		}
		l.set(func() { l.to(plan.PathDirect).near = false })
		l.store(l.cfg.Log)
		if _, err := l.Ping(t.Context(), l.id(), plan.PathDirect, 1, 0); err == nil {
			t.Error("by a path that is not possible: no error")
		}
		l.set(func() {
			for _, device := range []string{labDevice, labUnder, labIPIP} {
				if l.received[device] != 1 {
					t.Errorf("answers from %s are received %d times", device, l.received[device])
				}
			}
		})
	})
}

// What is known of the path in use is shown, also of paths that are not probed
// now.
func TestResultsAreKeptByPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaboratory(t, 1, auto...)
		l.set(func() { l.to(plan.PathDirect).cut = true })
		time.Sleep(30 * time.Second)
		if r, ok := l.Result(l.id(), plan.PathDirect); !ok || r.Sent == 0 || r.State == 0 {
			t.Errorf("direct: %+v, %t", r, ok)
		}
		if r, ok := l.Result(l.id(), plan.PathVXLAN); !ok || r.RTT != 2*time.Millisecond {
			t.Errorf("vxlan: %+v, %t", r, ok)
		}
		if r := l.Paths()[l.id()]; r.RTT != 2*time.Millisecond || r.Size != labMTU {
			t.Errorf("in use: %+v", r)
		}
		if _, ok := l.Result(l.id(), plan.PathIPIP); ok {
			t.Error("knows of a path that is not in the list")
		}
	})
}

// What this node does not have costs nothing.
func TestOnlyPathsOfThisNodeAreProven(t *testing.T) {
	underlay := func() string { return "" } // not known yet
	for want, k := range map[string]Kernel{
		"[]":                  {},
		"[direct vxlan]":      {VXLAN: vxlanDevice, Underlay: underlay},
		"[ipip]":              {IPIP: labIPIP},
		"[direct vxlan ipip]": {VXLAN: vxlanDevice, IPIP: labIPIP, Underlay: underlay},
	} {
		if got := fmt.Sprint(k.paths()); got != want {
			t.Errorf("paths %s, want %s", got, want)
		}
	}
}

func vxlanDevice() string { return labDevice }
