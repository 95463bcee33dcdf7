// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"flanneld/test/lab"
)

// epochs are the ones that a forger tries: the next one, and all that could
// make a subnet or a node unusable for good.
var epochs = []uint64{2, 3, 1000, 1 << 20, 1 << 40, 1<<40 + 1, math.MaxUint64}

// TestForgedRecordsTakeNothing sends records and messages in the names of
// others, by every way that a stranger has. No lease, node or claim may suffer,
// now or after all hosts start again. One stranger stays outside. The other has
// joined, as any host can without a cluster key.
func TestForgedRecordsTakeNothing(t *testing.T) {
	t.Parallel()
	for _, joined := range []bool{false, true} {
		t.Run(fmt.Sprintf("joined=%t", joined), func(t *testing.T) {
			t.Parallel()
			forgedRecordsTakeNothing(t, joined)
		})
	}
}

func forgedRecordsTakeNothing(t *testing.T, joined bool) {
	f := newField(t)
	f.learn(t)
	if joined {
		f.join(t)
	}
	leases := f.leases()
	rest := f.atRest(t)
	for _, attack := range []struct {
		name    string
		records [][]byte
	}{
		{"free records", f.freeRecords(leases)},
		{"leases of others' subnets", f.theftRecords(leases)},
		{"leases of all free subnets", f.landGrab(leases)},
		{"forget records", f.forgetRecords(t)},
		{"phantom node records", f.phantomRecords(2000)},
		{"node records under others' keys", f.impostorRecords(t)},
		{"garbage signatures", f.garbage(3000)},
	} {
		m := Watch(t, f.hosts[0].Daemon)
		began := time.Now()
		f.spread(t, attack.records)
		time.Sleep(max(0, 6*time.Second-time.Since(began)))
		within(t, attack.name, rest, m.Stop(t))
		f.healthy(t, leases)
	}
	m := Watch(t, f.hosts[0].Daemon)
	f.votes(t, leases)
	within(t, "forged votes", rest, m.Stop(t))

	newcomer := f.lab.Host()
	newcomer.Start("--join", f.hosts[0].Addr.String()).WaitReady(readyWithin)
	f.healthy(t, leases)
	for _, h := range f.hosts {
		h.Daemon.Kill()
	}
	for _, h := range f.hosts {
		h.Start("--join", f.hosts[0].Addr.String()+","+f.hosts[1].Addr.String())
	}
	for _, h := range f.hosts {
		h.Daemon.WaitReady(readyWithin)
	}
	f.healthy(t, leases)
	nodes, err := f.hosts[0].Table()
	if err != nil || len(nodes.Nodes) > len(f.hosts)+3 {
		t.Errorf("the table has %d nodes of 5 hosts and one stranger, %v", len(nodes.Nodes), err)
	}
}

// slotOf is a subnet's number: its third byte in the default network.
func slotOf(p netip.Prefix) uint32 { return uint32(p.Addr().As4()[2]) }

func (f *field) public() ed25519.PublicKey { return f.stranger.public() }

// ids are the nodes' IDs in the order of the hosts.
func (f *field) ids(t *testing.T) (all [][16]byte) {
	t.Helper()
	for _, h := range f.hosts {
		id, _, err := parseMemberName(f.member(t, h).Name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

func (f *field) freeRecords(leases []netip.Prefix) (all [][]byte) {
	for _, lease := range leases {
		for _, epoch := range epochs {
			for _, freed := range [][16]byte{{}, nodeID(f.public())} {
				all = append(all, sign(f.stranger.Key, f.network, recordLease,
					leaseRecord{Slot: slotOf(lease), Epoch: epoch, Key: f.public(), Freed: freed}))
			}
		}
	}
	return all
}

func (f *field) theftRecords(leases []netip.Prefix) (all [][]byte) {
	for _, lease := range leases {
		for _, epoch := range epochs {
			for _, electors := range []uint32{0, 1, 3} {
				all = append(all, sign(f.stranger.Key, f.network, recordLease, leaseRecord{
					Slot: slotOf(lease), Epoch: epoch, Holder: nodeID(f.public()), Ordinal: 1, Electors: electors, Promises: electors,
					Key: f.public(), Claim: 1, Vouchers: f.falseVouchers(),
				}))
			}
		}
	}
	return all
}

// falseVouchers are promises in the names of real holders, with signatures of
// the stranger.
func (f *field) falseVouchers() (all []byte) {
	for _, m := range f.members {
		if id, _, err := parseMemberName(m.Name); err == nil {
			all = append(append(all, id[:]...), ed25519.Sign(f.stranger.Key, id[:])...)
		}
	}
	return all
}

func (f *field) landGrab(leases []netip.Prefix) (all [][]byte) {
	held := map[uint32]bool{}
	for _, lease := range leases {
		held[slotOf(lease)] = true
	}
	for slot := uint32(1); slot < 256; slot++ {
		if held[slot] {
			continue
		}
		key := newKey()
		public := key.Public().(ed25519.PublicKey)
		all = append(all, f.nodeRecord(key, public), sign(key, f.network, recordLease, leaseRecord{
			Slot: slot, Epoch: 1, Holder: nodeID(public), Ordinal: 10 + uint64(slot), Electors: 3, Promises: 3,
			Key: public, Claim: 1 << 32, Vouchers: f.falseVouchers(),
		}))
	}
	return all
}

func newKey() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	return ed25519.NewKeyFromSeed(seed)
}

// nodeRecord is a record of an invented node, or of the node that owns the key.
func (f *field) nodeRecord(key ed25519.PrivateKey, public ed25519.PublicKey) []byte {
	at := netip.AddrFrom4([4]byte{192, 168, 50, byte(100 + rand.IntN(100))})
	return sign(key, f.network, recordNode, nodeRecord{
		Key: public, Start: 1 << 30, Version: 1, Instance: rand.Uint64(), Name: "phantom\nMAINPID=1", MTU: 1472,
		Endpoints: []endpoint{{Addr: netip.AddrPortFrom(at, dataPort)}}, Gossip: []endpoint{{Addr: netip.AddrPortFrom(at, gossipPort)}},
		ProtocolMin: 2, ProtocolMax: 2,
	})
}

func (f *field) forgetRecords(t *testing.T) (all [][]byte) {
	for _, id := range f.ids(t) {
		for _, start := range append([]uint64{1}, epochs...) {
			for _, faded := range []bool{false, true} {
				all = append(all, sign(f.stranger.Key, f.network, recordForget, forgetRecord{id, start, f.public(), faded}))
			}
		}
	}
	return all
}

func (f *field) phantomRecords(n int) (all [][]byte) {
	for range n {
		key := newKey()
		all = append(all, f.nodeRecord(key, key.Public().(ed25519.PublicKey)))
	}
	return all
}

func (f *field) impostorRecords(t *testing.T) (all [][]byte) {
	for _, h := range f.hosts {
		m := f.member(t, h)
		public := m.Meta[metaPublic : metaPublic+ed25519.PublicKeySize]
		for range 20 {
			all = append(all, f.nodeRecord(f.stranger.Key, public))
		}
	}
	return all
}

// garbage returns lease records of no node, with invalid signatures. Each costs
// its receiver a check.
func (f *field) garbage(n int) (all [][]byte) {
	for i := range n {
		raw := sign(f.stranger.Key, f.network, recordLease, leaseRecord{
			Slot: uint32(1 + i%255), Epoch: 2, Holder: nodeID(f.public()), Key: f.public(), Electors: 1, Promises: 1, Claim: uint64(i)})
		raw[len(raw)-1] ^= 1
		all = append(all, raw)
	}
	return all
}

// spread sends records to all hosts in every way: as broadcasts in datagrams
// and streams, in direct messages, and in the state of a push/pull.
func (f *field) spread(t *testing.T, records [][]byte) {
	t.Helper()
	ids := f.ids(t)
	for i, raw := range records[:min(len(records), 500)] {
		for _, h := range f.hosts {
			_ = f.stranger.Say(h.Addr, append([]byte{typeUser}, rumor(raw)...))
		}
		if i%20 == 0 {
			for _, h := range f.hosts {
				_ = f.stranger.SayOnStream(h.Addr, rumor(raw))
			}
		}
	}
	for i, h := range f.hosts {
		for first := 0; first < len(records); first += 1000 {
			part := records[first:min(len(records), first+1000)]
			body := map[int]any{1: part}
			msg := direct(f.stranger.Key, f.stranger.Endpoint(), f.network, ids[i], uint64(first+1), messageRecords, body)
			_ = f.stranger.SayOnStream(h.Addr, msg)
			f.pushState(t, h, part)
		}
	}
}

// pushState joins a host as the stranger's own node would, with a table of the
// stranger's making.
func (f *field) pushState(t *testing.T, h *lab.Host, records [][]byte) {
	t.Helper()
	self := f.stranger.member(f.network, f.prefix)
	state := encodeCBOR(tableState{Network: f.networkRecord(t), Records: records})
	head := append(append([]byte{2}, f.public()...), f.network[:]...)
	sum := sha256.Sum256(state)
	head = append(head, statement(f.stranger.Key, "state", append(append([]byte(nil), head...), sum[:]...))...)
	_, _ = f.stranger.Exchange(h.Addr, []memberState{self}, append(head, state...))
}

// join makes the stranger a member, with a node record of its own. Its messages
// are well formed, and hosts accept what it says about itself.
func (f *field) join(t *testing.T) {
	t.Helper()
	go f.stranger.Serve()
	lab.Eventually(t, readyWithin, "the stranger to be a member", func() error {
		for _, h := range f.hosts {
			f.pushState(t, h, [][]byte{f.stranger.record(f.network)})
			nodes, err := h.Table()
			if err != nil {
				return err
			}
			if n := nodes.Find("stranger"); n.State != "alive" {
				return fmt.Errorf("%s has it as %q", h.NodeName, n.State)
			}
		}
		return nil
	})
}

// networkRecord is the network's description, as the founder gave it.
func (f *field) networkRecord(t *testing.T) cbor.RawMessage {
	t.Helper()
	var s tableState
	if len(f.state) < stateHeaderLen {
		t.Fatalf("the founder gave %d bytes of state", len(f.state))
	}
	if err := cbor.Unmarshal(f.state[stateHeaderLen:], &s); err != nil {
		t.Fatalf("read the founder's state: %v", err)
	}
	return s.Network
}

// votes answers, asks and withdraws in a claim that a newcomer makes meanwhile,
// always for other nodes' claims.
func (f *field) votes(t *testing.T, leases []netip.Prefix) {
	t.Helper()
	ids := f.ids(t)
	newcomer := f.lab.Host()
	newcomer.Start("--join", f.hosts[0].Addr.String())
	counter := uint64(1 << 20)
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		for i, h := range f.hosts {
			for _, slot := range []uint32{slotOf(leases[i]), 1 + rand.Uint32N(255)} {
				counter++
				claim := binary.BigEndian.Uint64([]byte{0, 0, 0, 1, 0, 0, 0, byte(counter)})
				for kind, body := range map[byte]map[int]any{
					messageWithdraw: {1: slot, 2: uint64(1) << 40},
					messageAnswer:   {1: slot, 2: 1, 3: claim, 4: 2, 5: ids[0][:], 8: 1},
					messageAsk:      {1: slot, 2: 1 << 39, 3: claim, 4: 5, 5: true},
				} {
					msg := direct(f.stranger.Key, f.stranger.Endpoint(), f.network, ids[i], counter, kind, body)
					_ = f.stranger.Say(h.Addr, append([]byte{typeUser}, msg...))
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	newcomer.Daemon.WaitReady(readyWithin)
	f.healthy(t, leases)
}
