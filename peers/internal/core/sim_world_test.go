package core

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

	"flanneld/peers/internal/record"
)

// The simulator runs a network of real cores under virtual time: one goroutine,
// one seed, no wall clock. Around each core stands what the daemon puts there,
// as a model: a disk (sim_disk_test.go), gossip membership in the manner of
// SWIM (sim_swim_test.go), links that lose, double, delay and cut
// (sim_links_test.go). A schedule of faults comes from the seed
// (sim_plan_test.go); what users were promised is checked at every step and at
// the end (sim_check_test.go).

// TB is what a world needs of a test.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is one simulated network.
type world struct {
	t     TB // nil in a search: what is broken is noted in broken
	rand  *rand.Rand
	now   time.Duration
	queue eventQueue
	order uint64
	hosts []*host
	// places says who is at an address. Addresses are numbers here, from 1.
	places []*host
	links  links
	checks checks
	trace  trace
	tally  tally
	steps  steps
	broken string  // the first promise that was broken
	damage *damage // nil: the protocol as it is
	liars  []*liar
	onSend func(from, to *host, msg []byte) // nil: no test looks
	// strangers counts identities of liars; healing ends their lies.
	strangers int
	healing   bool

	slowDisk  time.Duration // how long a write takes at most
	fineTicks bool          // every 100 ms, as the daemon does, also when nothing is under way
	events    int
	boots     uint64 // counts starts of all hosts
	disturbed uint64 // counts faults that are over sooner or later
}

// testSigner stands in for Ed25519 in most schedules: a checksum over key and
// message. Nobody forges records here, and a record that was damaged is refused
// all the same.
type testSigner struct{}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (testSigner) sum(key ed25519.PublicKey, msg []byte) []byte {
	var sig [ed25519.SignatureSize]byte
	binary.BigEndian.PutUint32(sig[:], crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, msg))
	return sig[:]
}

func (s testSigner) Sign(key ed25519.PrivateKey, msg []byte) []byte {
	return s.sum(ed25519.PublicKey(key[ed25519.SeedSize:]), msg) // RFC 8032: the second half is the public key
}

func (s testSigner) Verify(key ed25519.PublicKey, msg, sig []byte) bool {
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
		identities.made = append(identities.made, simIdentity(uint64(len(identities.made))+1000))
	}
	return identities.made[i]
}

// newWorld has n hosts, none of them started; the first one founds, the others
// have it as their seed.
func newWorld(t TB, seed uint64, n int, adjust func(i int, c *Config)) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), slowDisk: 2 * time.Millisecond}
	w.places = []*host{nil}
	w.links.base = 2 * time.Millisecond
	w.checks.init(w)
	for i, k := range w.rand.Perm(n) {
		w.addHost(identityOf(k), fmt.Sprintf("host%d", i), i == 0)
		if i > 0 {
			w.hosts[i].seeds = w.hosts[:1]
		}
		if adjust != nil {
			adjust(i, &w.hosts[i].config)
		}
	}
	return w
}

// addHost puts a machine into the world.
func (w *world) addHost(id record.Identity, name string, founds bool) *host {
	h := &host{w: w, index: len(w.hosts), identity: id, id: id.ID()}
	h.config = Config{
		Identity: id, Name: name, MTU: 1472, LeaseTTL: 24 * time.Hour, MayFound: founds,
		Signer: testSigner{},
	}
	h.newAddress()
	w.hosts = append(w.hosts, h)
	return h
}

// addressOf and placeOf translate between the world's addresses and IP.
func addressOf(place int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, byte(place >> 16), byte(place >> 8), byte(place)}), port)
}

func placeOf(at netip.AddrPort) int {
	b := at.Addr().As4()
	return int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

// at returns the host at an address, nil where there is none.
func (w *world) at(place int) *host {
	if place >= len(w.places) {
		return nil
	}
	return w.places[place]
}

// newAddress moves a host to where nobody has ever been.
func (h *host) newAddress() {
	w := h.w
	if h.place != 0 {
		w.places[h.place] = nil
	}
	h.place = len(w.places)
	w.places = append(w.places, h)
	h.config.Endpoint, h.config.Gossip = addressOf(h.place, 8285), addressOf(h.place, 8286)
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	w.queue.push(event{w.now + d, w.order, do})
}

// between is a random time in [low, high).
func (w *world) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(w.rand.Int64N(int64(high-low)))
}

func (w *world) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// run lets the world go on for a while, or until a promise is broken.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end && w.broken == "" {
		e := w.queue.pop()
		w.now = e.at
		e.do()
		if w.events++; w.events > maxEvents {
			w.breaks("liveness", "%d events and no end", w.events)
		}
	}
	w.now = end
}

// maxEvents bounds a schedule: more than that is a storm.
const maxEvents = 100_000_000

// breaks notes that a promise was broken.
func (w *world) breaks(promise, format string, args ...any) {
	if w.broken != "" {
		return
	}
	w.broken = promise + ": " + fmt.Sprintf(format, args...)
	w.trace.line(w, nil, "BROKEN %s", w.broken)
	if w.t != nil {
		w.t.Fatalf("at %v: %s\n%s", w.now, w.broken, w.dump())
	}
}

// runUntil runs until ok, at most for d.
func (w *world) runUntil(d time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for end := w.now + d; !ok(); w.run(50 * time.Millisecond) {
		if w.now > end {
			w.t.Fatalf("after %v still not: %s\n%s", d, what, w.dump())
		}
	}
}

// bootInTurn boots hosts one after the other, each once the one before has its lease.
func (w *world) bootInTurn(hosts []*host) {
	for _, h := range hosts {
		h.boot()
		w.runUntil(2*time.Second, "lease confirmed", h.confirmed)
	}
}

func (w *world) confirmedHosts() int {
	n := 0
	for _, h := range w.hosts {
		if h.confirmed() {
			n++
		}
	}
	return n
}

// live are the hosts whose daemon is in touch with the others.
func (w *world) live() []*host {
	return slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return !h.up })
}

// tablesEqual reports whether all live hosts have the same table.
func (w *world) tablesEqual() bool {
	var first *record.Digest
	for _, h := range w.hosts {
		if !h.up || h.core.Inside().Table() == nil {
			continue
		}
		d := h.core.Inside().Table().Digest
		w.withoutSybils(h.core.Inside().Table(), &d)
		if first != nil && *first != d {
			return false
		}
		first = &d
	}
	return true
}

// withoutSybils takes the node records of made up nodes out of a digest: they
// fade away within minutes, and matter to no host meanwhile.
func (w *world) withoutSybils(t *record.Table, d *record.Digest) {
	for _, l := range w.liars {
		for _, id := range l.sybils {
			if n := t.Nodes[id.ID()]; n != nil && !n.Former {
				d[n.Part] ^= n.Sum
			}
		}
	}
}

// dump says what everybody thinks.
func (w *world) dump() string {
	var b strings.Builder
	for _, h := range w.hosts {
		if h.core == nil {
			fmt.Fprintf(&b, "%s: down, %v\n", h.config.Name, h.fatal)
			continue
		}
		v := h.core.View()
		fmt.Fprintf(&b, "%s (%s): up %v paused %v state %d slot %d epoch %d: %s\n",
			h.config.Name, h.id.Short(), h.up, h.paused, v.State, h.core.Inside().Claim().Slot, h.core.Inside().Claim().Epoch, v.Waiting)
		for _, n := range v.Nodes {
			fmt.Fprintf(&b, "    %s start %d up %v suspect %v left %v slot %d epoch %d\n",
				n.Record.Name, n.Record.Start, n.Up, n.Suspect, n.Record.Left, n.Lease.Slot, n.Lease.Epoch)
		}
		if h.core.Inside().Table() != nil {
			for _, s := range h.core.Inside().Table().SortedSlots() {
				l := h.core.Inside().Table().Leases[s].Rec
				fmt.Fprintf(&b, "    slot %d epoch %d ordinal %d %s\n", s, l.Epoch, l.Ordinal, h.core.Inside().NameOf(l.Holder))
			}
			fmt.Fprintf(&b, "    promises %v\n", h.core.Inside().Promises())
		}
	}
	return b.String()
}
