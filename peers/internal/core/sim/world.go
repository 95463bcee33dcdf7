// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// TB is what a world needs of a test.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// World is one simulated network.
type World struct {
	t     TB // nil in a search: what is broken is noted in broken
	rand  *rand.Rand
	Now   time.Duration // since the world began
	queue eventQueue
	order uint64
	Hosts []*Host
	// places has the host at each address. Addresses are numbers here, from
	// 1.
	places []*Host
	Links  links
	checks checks
	trace  trace
	tally  Tally
	steps  Steps
	broken string  // the first promise that was broken
	damage *Damage // nil: the protocol as it is
	liars  []*liar
	OnSend func(from, to *Host, msg []byte) // nil: no test looks
	// strangers counts identities of liars; healing ends their lies.
	strangers int
	healing   bool

	slowDisk  time.Duration // how long a write takes at most
	fineTicks bool          // every 100 ms, as the daemon does, also when nothing is under way
	events    int
	boots     uint64 // counts starts of all hosts
	disturbed uint64 // counts faults that are over sooner or later
}

// Checksum stands in for Ed25519 in most schedules: a checksum over key and
// message. Records are not forged here, and a damaged record is refused all the
// same.
type Checksum struct{}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (Checksum) sum(key ed25519.PublicKey, msg []byte) []byte {
	var sig [ed25519.SignatureSize]byte
	binary.BigEndian.PutUint32(sig[:], crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, msg))
	return sig[:]
}

// Sign implements record.Signer.
func (s Checksum) Sign(key ed25519.PrivateKey, msg []byte) []byte {
	return s.sum(ed25519.PublicKey(key[ed25519.SeedSize:]), msg) // RFC 8032: the second half is the public key
}

// Verify implements record.Signer.
func (s Checksum) Verify(key ed25519.PublicKey, msg, sig []byte) bool {
	return bytes.Equal(sig, s.sum(key, msg))
}

// identities are made once: making a key takes longer than a short schedule.
var identities = struct {
	sync.Mutex
	made []record.Identity
}{}

func identityOf(i int) record.Identity {
	identities.Lock()
	defer identities.Unlock()
	for len(identities.made) <= i {
		identities.made = append(identities.made, Identity(uint64(len(identities.made))+1000))
	}
	return identities.made[i]
}

// New makes a world of n hosts, none started. The first one founds, the others
// have it as their seed.
func New(t TB, seed uint64, n int, adjust func(i int, c *core.Config)) *World {
	w := &World{t: t, rand: rand.New(rand.NewPCG(seed, 1)), slowDisk: 2 * time.Millisecond}
	w.places = []*Host{nil}
	w.Links.Base = 2 * time.Millisecond
	w.checks.init(w)
	for i, k := range w.rand.Perm(n) {
		w.addHost(identityOf(k), fmt.Sprintf("host%d", i), i == 0)
		if i > 0 {
			w.Hosts[i].Seeds = w.Hosts[:1]
		}
		if adjust != nil {
			adjust(i, &w.Hosts[i].Config)
		}
	}
	return w
}

// addHost puts a machine into the world.
func (w *World) addHost(id record.Identity, name string, founds bool) *Host {
	h := &Host{World: w, Index: len(w.Hosts), Identity: id, ID: id.ID()}
	h.Config = core.Config{
		Identity: id, Name: name, MTU: 1472, LeaseTTL: 24 * time.Hour, MayFound: founds,
		Signer: Checksum{},
	}
	h.newAddress()
	w.Hosts = append(w.Hosts, h)
	return h
}

// Address and placeOf translate between the world's addresses and IP.
func Address(place int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, byte(place >> 16), byte(place >> 8), byte(place)}), port)
}

func placeOf(at netip.AddrPort) int {
	b := at.Addr().As4()
	return int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

// at returns the host at an address, nil where there is none.
func (w *World) at(place int) *Host {
	if place >= len(w.places) {
		return nil
	}
	return w.places[place]
}

// newAddress moves a host to an address that was never used.
func (h *Host) newAddress() {
	w := h.World
	if h.place != 0 {
		w.places[h.place] = nil
	}
	h.place = len(w.places)
	w.places = append(w.places, h)
	h.Config.Endpoint, h.Config.Gossip = Address(h.place, 8285), Address(h.place, 8286)
}

func (w *World) after(d time.Duration, do func()) {
	w.order++
	w.queue.push(event{w.Now + d, w.order, do})
}

// between is a random time in [low, high).
func (w *World) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(w.rand.Int64N(int64(high-low)))
}

func (w *World) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// Run lets the world go on for a while, or until a promise is broken.
func (w *World) Run(d time.Duration) {
	end := w.Now + d
	for len(w.queue) > 0 && w.queue[0].at <= end && w.broken == "" {
		e := w.queue.pop()
		w.Now = e.at
		e.do()
		if w.events++; w.events > maxEvents {
			w.breaks("liveness", "%d events and no end", w.events)
		}
	}
	w.Now = end
}

// maxEvents bounds a schedule: more than that is a storm.
const maxEvents = 100_000_000

// breaks notes that a promise was broken.
func (w *World) breaks(promise, format string, args ...any) {
	if w.broken != "" {
		return
	}
	w.broken = promise + ": " + fmt.Sprintf(format, args...)
	w.trace.line(w, nil, "BROKEN %s", w.broken)
	if w.t != nil {
		w.t.Fatalf("at %v: %s\n%s", w.Now, w.broken, w.Dump())
	}
}

// RunUntil runs until ok, at most for d.
func (w *World) RunUntil(d time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for end := w.Now + d; !ok(); w.Run(50 * time.Millisecond) {
		if w.Now > end {
			w.t.Fatalf("after %v still not: %s\n%s", d, what, w.Dump())
		}
	}
}

// BootInTurn boots hosts one after the other, each once the one before has its
// lease.
func (w *World) BootInTurn(hosts []*Host) {
	for _, h := range hosts {
		h.Boot()
		w.RunUntil(2*time.Second, "lease confirmed", h.Confirmed)
	}
}

// ConfirmedHosts counts the hosts that hold a confirmed lease.
func (w *World) ConfirmedHosts() int {
	n := 0
	for _, h := range w.Hosts {
		if h.Confirmed() {
			n++
		}
	}
	return n
}

// live are the hosts that are in touch with the others.
func (w *World) live() []*Host {
	return slices.DeleteFunc(slices.Clone(w.Hosts), func(h *Host) bool { return !h.up })
}

// TablesEqual reports whether all live hosts have the same table.
func (w *World) TablesEqual() bool {
	var first *record.Digest
	for _, h := range w.Hosts {
		if !h.up || h.Core.Inside().Table() == nil {
			continue
		}
		d := h.Core.Inside().Table().Digest
		w.withoutSybils(h.Core.Inside().Table(), &d)
		if first != nil && *first != d {
			return false
		}
		first = &d
	}
	return true
}

// withoutSybils takes the node records of made up nodes out of a digest: they
// fade away within minutes, and matter to no host meanwhile.
func (w *World) withoutSybils(t *record.Table, d *record.Digest) {
	for _, l := range w.liars {
		for _, id := range l.sybils {
			if n := t.Nodes[id.ID()]; n != nil && !n.Former {
				d[n.Part] ^= n.Sum
			}
		}
	}
}

// Dump is what all hosts think, in words.
func (w *World) Dump() string {
	var b strings.Builder
	for _, h := range w.Hosts {
		if h.Core == nil {
			fmt.Fprintf(&b, "%s: down, %v\n", h.Config.Name, h.Fatal)
			continue
		}
		v := h.Core.View()
		fmt.Fprintf(&b, "%s (%s): up %v paused %v %s slot %d epoch %d: %s\n",
			h.Config.Name, h.ID.Short(), h.up, h.paused, v.Lease, h.Core.Inside().Claim().Slot, h.Core.Inside().Claim().Epoch, v.Waiting)
		for _, n := range v.Nodes {
			fmt.Fprintf(&b, "    %s start %d %s, %s epoch %d\n", n.Name, n.Start, n.State, n.Lease.Prefix, n.Lease.Epoch)
		}
		if h.Core.Inside().Table() != nil {
			for _, s := range h.Core.Inside().Table().SortedSlots() {
				l := h.Core.Inside().Table().Leases[s].Rec
				fmt.Fprintf(&b, "    slot %d epoch %d ordinal %d %s\n", s, l.Epoch, l.Ordinal, h.Core.Inside().NameOf(l.Holder))
			}
			fmt.Fprintf(&b, "    promises %v\n", h.Core.Inside().Promises())
		}
	}
	return b.String()
}
