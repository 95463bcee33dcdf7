// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

// reset is what `flanneld reset` does to the files of a stopped host.
func resetHost(t *testing.T, h *sim.Host) core.Given {
	t.Helper()
	durable, given, err := core.Inside{}.Reset(h.ID, h.Disk.Durable, h.Disk.Table, h.Config.Signer)
	if err != nil {
		t.Fatalf("reset %s: %v", h.Config.Name, err)
	}
	h.Disk = sim.Disk{Durable: durable, Synced: durable}
	h.Disown() // what it held in the network before is no promise any more
	return given
}

// TestAfterAResetOfAllEachHostHasItsOldSubnet: the network has no more subnets
// than hosts, a stranger among them comes early, and the order is any.
func TestAfterAResetOfAllEachHostHasItsOldSubnet(t *testing.T) {
	for seed := range uint64(20) {
		w := sim.New(t, seed, 8, func(_ int, c *core.Config) {
			if c.MayFound {
				c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/25"), SubnetLen: 28} // 7 slots
			}
		})
		old := w.Hosts[:6]
		w.BootInTurn(old)
		w.Run(5 * time.Second)
		before := map[*sim.Host]netip.Prefix{}
		for _, h := range old {
			before[h], _ = h.Lease()
			h.Crash()
		}
		for _, h := range old {
			if given := resetHost(t, h); given.Subnet != before[h] || given.Others != 5 {
				t.Fatalf("seed %d: reset gives %+v, want %s and 5 others", seed, given, before[h])
			}
		}
		order := rand.New(rand.NewPCG(seed, 9)).Perm(8)
		for _, i := range order[:7] {
			w.Hosts[i].Boot()
			w.Run(time.Duration(seed) * 100 * time.Millisecond)
		}
		w.Hosts[order[7]].Boot()
		for _, h := range old {
			w.RunUntil(20*time.Second, "leases", h.Confirmed)
			if got, _ := h.Lease(); got != before[h] {
				t.Fatalf("seed %d: %s has %s, had %s\n%s", seed, h.Config.Name, got, before[h], w.Dump())
			}
		}
	}
}

// TestHostsThatAreResetAndStartAtOnceHaveTheirSubnets: claims are overtaken
// then by leases that are granted meanwhile.
func TestHostsThatAreResetAndStartAtOnceHaveTheirSubnets(t *testing.T) {
	for seed := range uint64(150) {
		w := sim.New(t, seed, 6, nil)
		w.BootInTurn(w.Hosts)
		w.Run(5 * time.Second)
		before := map[*sim.Host]netip.Prefix{}
		for _, h := range w.Hosts {
			before[h], _ = h.Lease()
			h.Crash()
		}
		for _, h := range w.Hosts {
			resetHost(t, h)
		}
		for _, i := range rand.New(rand.NewPCG(seed, 9)).Perm(len(w.Hosts)) {
			w.Hosts[i].Boot()
			w.Run(time.Duration(seed%7) * 10 * time.Millisecond)
		}
		for _, h := range w.Hosts {
			w.RunUntil(20*time.Second, "leases", h.Confirmed)
			if got, _ := h.Lease(); got != before[h] {
				t.Fatalf("seed %d: %s has %s, had %s\n%s", seed, h.Config.Name, got, before[h], w.Dump())
			}
		}
	}
}

// TestAResetKeepsSubnetsForAnHour: damage may be holders that never existed.
func TestAResetKeepsSubnetsForAnHour(t *testing.T) {
	w := sim.New(t, 4, 4, func(_ int, c *core.Config) {
		if c.MayFound {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/26"), SubnetLen: 28} // 3 slots
		}
	})
	w.BootInTurn(w.Hosts[:3])
	w.Run(5 * time.Second)
	for _, h := range w.Hosts[:3] {
		h.Crash()
	}
	resetHost(t, w.Hosts[0])
	w.Hosts[0].Boot()
	w.Hosts[3].Boot()
	w.Run(core.WishFor - time.Minute)
	if w.Hosts[3].Confirmed() {
		t.Fatal("a subnet that was kept went to another node")
	}
	w.RunUntil(2*time.Minute, "the newcomer's lease", w.Hosts[3].Confirmed)
}

func TestAResetTakesWhatADamagedTableLeaves(t *testing.T) {
	w := sim.New(t, 4, 3, nil)
	w.BootInTurn(w.Hosts)
	w.Run(5 * time.Second)
	h := w.Hosts[2]
	own, _ := h.Lease()
	h.Crash()
	for name, table := range map[string][]byte{"none": nil, "rubbish": []byte("\xff\x00rubbish"), "half": h.Disk.Table[:len(h.Disk.Table)/2]} {
		durable, given, err := core.Reset(h.ID, h.Disk.Durable, table)
		if err != nil || given.Subnet != own || given.Others != 2 {
			t.Errorf("%s: %+v, %v; want %s and 2 others", name, given, err, own)
		}
		again, twice, err := core.Reset(h.ID, durable, nil)
		if err != nil || twice.Subnet != own || twice.Others != 2 || string(again) != string(durable) {
			t.Errorf("%s: a second reset gives %+v, %v", name, twice, err)
		}
	}
	if _, _, err := core.Reset(h.ID, []byte("rubbish"), nil); err == nil {
		t.Error("rubbish was taken for a durable state")
	}
}

func TestAPinOfAKeptSubnetWaitsWithTheReason(t *testing.T) {
	w := sim.New(t, 4, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Run(5 * time.Second)
	kept, _ := w.Hosts[1].Lease()
	for _, h := range w.Hosts[:2] {
		h.Crash()
	}
	resetHost(t, w.Hosts[0])
	w.Hosts[0].Boot()
	w.Hosts[2].Config.Pin = kept
	w.Hosts[2].Boot()
	want := kept.String() + " is promised to, or kept for, node " + w.Hosts[1].ID.Short()
	w.RunUntil(10*time.Second, "the reason", func() bool { return w.Hosts[2].Core.View().Waiting == want })
	resetHost(t, w.Hosts[1])
	w.Hosts[1].Boot() // and it is given to the node it is kept for
	w.RunUntil(20*time.Second, "its lease", w.Hosts[1].Confirmed)
	if got, _ := w.Hosts[1].Lease(); got != kept {
		t.Errorf("it has %s, want %s", got, kept)
	}
}
