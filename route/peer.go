// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"flanneld/encap"
	"flanneld/internal/packet"
	"flanneld/internal/seal"
)

// pathMTULifetime is how long a learned path MTU is valid, as in Linux
// (net.ipv4.route.mtu_expires). Then a larger packet tries again.
const pathMTULifetime = 10 * time.Minute

// cacheLine separates fields that different lanes write.
type cacheLine [64]byte

// Peer is what the forwarder remembers about a peer for as long as it is known:
// counters and the path MTU outlive table changes. Make one for each peer with
// NewPeer and name it in every entry of that peer. All methods may be called
// from any goroutine.
type Peer struct {
	name     string
	endpoint atomic.Pointer[netip.AddrPort]
	mtu      atomic.Int32 // of the peer's device; zero: unknown
	path     atomic.Pointer[pathMTU]
	larger   atomic.Bool   // than this node's device are its packets, and that was logged
	tooLarge atomic.Uint64 // packets from it that were larger than the device's MTU
	sealed   atomic.Pointer[seal.Peer]
	stray    atomic.Uint64 // see strayed
	sights   atomic.Uint64 // see sighted
	sight    atomic.Uint64 // see sighted

	_       cacheLine
	egress  traffic
	_       cacheLine
	ingress traffic
	_       cacheLine
}

// pathMTU is a learned limit.
type pathMTU struct {
	packet int // bytes of the longest overlay packet that fits
	until  time.Time
}

// NewPeer makes a peer. name is for logs; endpoint and mtu are as in Update.
func NewPeer(name string, endpoint netip.AddrPort, mtu int) *Peer {
	p := &Peer{name: name}
	p.Update(endpoint, mtu)
	return p
}

// Update sets where the peer's datagrams go, and the MTU of its device, in
// bytes; zero when it is not known. The endpoint counts from the next
// Feed.Store on. A path MTU learned on the way to another address is forgotten.
func (p *Peer) Update(endpoint netip.AddrPort, mtu int) {
	old := p.endpoint.Swap(&endpoint)
	if old != nil && old.Addr() != endpoint.Addr() {
		p.path.Store(nil)
		p.larger.Store(false)
	}
	p.mtu.Store(int32(min(max(mtu, 0), math.MaxInt32)))
}

// Seal sets the sessions with which packets to the peer are sealed, and by
// which its packets are known. Nil: it has none.
func (p *Peer) Seal(with *seal.Peer) { p.sealed.Store(with) }

// Sealed is what was given to Seal last.
func (p *Peer) Sealed() *seal.Peer { return p.sealed.Load() }

// Name is the name given to NewPeer.
func (p *Peer) Name() string { return p.name }

// Endpoint is the last endpoint given to NewPeer or Update.
func (p *Peer) Endpoint() netip.AddrPort { return *p.endpoint.Load() }

// PathMTU is the length of the longest overlay packet that the path to the peer
// takes, in bytes, as learned from the kernel; zero while nothing is known.
func (p *Peer) PathMTU() int {
	if path := p.path.Load(); path != nil && time.Now().Before(path.until) {
		return path.packet
	}
	return 0
}

// Overhead is what encapsulation adds to each overlay packet on the way to the
// peer, in bytes, and sealing where there is any.
func (p *Peer) Overhead() int {
	n := encap.Overhead(p.Endpoint().Addr())
	if p.sealed.Load() != nil {
		n += seal.Overhead
	}
	return n
}

// Traffic is the traffic to the peer and from it since NewPeer.
func (p *Peer) Traffic() (egress, ingress Volume) { return p.egress.volume(), p.ingress.volume() }

// AddCarried counts packets that the kernel has carried to and from the peer
// without the lanes, in the same units as Traffic.
func (p *Peer) AddCarried(egress, ingress Volume) {
	p.egress.add(egress)
	p.ingress.add(ingress)
}

// TooLarge is how many packets from the peer were dropped since NewPeer because
// they are larger than the device's MTU.
func (p *Peer) TooLarge() uint64 { return p.tooLarge.Load() }

// strayed notes that a packet with a source in the peer's lease has come from
// an underlay address that is no peer's. Time (s since 1970) and IPv4 address
// are one word, so that lanes need no lock.
func (p *Peer) strayed(from netip.Addr, now time.Time) {
	if from = from.Unmap(); from.Is4() {
		a := from.As4()
		p.stray.Store(uint64(now.Unix())<<32 | uint64(binary.BigEndian.Uint32(a[:])))
	}
}

// strayTime is how long a stray packet is told of.
const strayTime = time.Minute

// Stray is the underlay address from which a packet with a source in the peer's
// lease came last, and was dropped as one of an unknown sender, within the last
// minute. It is invalid if there was none. NAT between two hosts makes such
// packets, and so can any host of the underlay. Only IPv4 is told of.
func (p *Peer) Stray() (from netip.Addr) {
	at := p.stray.Load()
	if at == 0 || time.Since(time.Unix(int64(at>>32), 0)) > strayTime {
		return from
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(at))))
}

// maxSights is how many sights of a peer are told of in a second.
const maxSights = 4

// sighted reports whether a sight of the peer at an underlay address is to be
// told of: once a second for an address, and maxSights times for all. Each of
// the two words has the time (s since 1970) in its upper half, so that lanes
// need no lock. Of two lanes at once, one may be heard once more.
func (p *Peer) sighted(from netip.Addr, now time.Time) bool {
	if !from.Is4() {
		return false
	}
	a, second := from.As4(), uint64(now.Unix())<<32
	sight := second | uint64(binary.BigEndian.Uint32(a[:]))
	if p.sight.Load() == sight {
		return false
	}
	sights := p.sights.Load()
	if sights&^math.MaxUint32 != second {
		sights = second
	}
	if sights&math.MaxUint32 >= maxSights {
		return false
	}
	p.sight.Store(sight)
	p.sights.Store(sights + 1)
	return true
}

// Limit is the length of the longest overlay packet to send to the peer, in
// bytes. It is the smaller limit of the path and of the peer's device, as far
// as they are known, and 65535 if neither is.
func (p *Peer) Limit() int { return p.limit(time.Now()) }

// limit is the length of the longest overlay packet to send to the peer: the
// smaller limit of the path and of the peer's device, as far as they are known.
func (p *Peer) limit(now time.Time) int {
	limit := packet.MaxLen
	if mtu := int(p.mtu.Load()); mtu != 0 {
		limit = max(mtu, packet.MinMTU)
	}
	if path := p.path.Load(); path != nil && now.Before(path.until) {
		limit = min(limit, path.packet)
	}
	return limit
}

// learnPathMTU remembers the path MTU to the peer, outer headers included, and
// reports whether that is news.
func (p *Peer) learnPathMTU(mtu int, now time.Time) (longest int, changed bool) {
	longest = max(mtu-p.Overhead(), packet.MinMTU)
	old := p.path.Swap(&pathMTU{packet: longest, until: now.Add(pathMTULifetime)})
	return longest, old == nil || old.packet != longest
}
