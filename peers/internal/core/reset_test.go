package core

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// reset is what `flanneld reset` does to the files of a stopped host.
func resetHost(h *host) Given {
	h.w.t.Helper()
	vault, given, err := Inside{}.Reset(h.id, h.disk.vault, h.disk.table, h.config.Signer)
	if err != nil {
		h.w.t.Fatalf("reset %s: %v", h.config.Name, err)
	}
	h.disk = disk{vault: vault, synced: vault}
	h.w.checks.left(h) // what it held in the network before is no promise any more
	return given
}

// TestAfterAResetOfAllEachHostHasItsOldSubnet: the network has no more subnets
// than hosts, a stranger among them comes early, and the order is any.
func TestAfterAResetOfAllEachHostHasItsOldSubnet(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed, 8, func(_ int, c *Config) {
			if c.MayFound {
				c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/25"), SubnetLen: 28} // 7 slots
			}
		})
		old := w.hosts[:6]
		w.bootInTurn(old)
		w.run(5 * time.Second)
		before := map[*host]netip.Prefix{}
		for _, h := range old {
			before[h], _ = h.lease()
			h.crash()
		}
		for _, h := range old {
			if given := resetHost(h); given.Subnet != before[h] || given.Others != 5 {
				t.Fatalf("seed %d: reset gives %+v, want %s and 5 others", seed, given, before[h])
			}
		}
		order := rand.New(rand.NewPCG(seed, 9)).Perm(8)
		for _, i := range order[:7] {
			w.hosts[i].boot()
			w.run(time.Duration(seed) * 100 * time.Millisecond)
		}
		w.hosts[order[7]].boot()
		for _, h := range old {
			w.runUntil(20*time.Second, "leases", h.confirmed)
			if got, _ := h.lease(); got != before[h] {
				t.Fatalf("seed %d: %s has %s, had %s\n%s", seed, h.config.Name, got, before[h], w.dump())
			}
		}
	}
}

// TestHostsThatAreResetAndStartAtOnceHaveTheirSubnets: claims are overtaken then
// by leases that are granted meanwhile.
func TestHostsThatAreResetAndStartAtOnceHaveTheirSubnets(t *testing.T) {
	for seed := range uint64(150) {
		w := newWorld(t, seed, 6, nil)
		w.bootInTurn(w.hosts)
		w.run(5 * time.Second)
		before := map[*host]netip.Prefix{}
		for _, h := range w.hosts {
			before[h], _ = h.lease()
			h.crash()
		}
		for _, h := range w.hosts {
			resetHost(h)
		}
		for _, i := range rand.New(rand.NewPCG(seed, 9)).Perm(len(w.hosts)) {
			w.hosts[i].boot()
			w.run(time.Duration(seed%7) * 10 * time.Millisecond)
		}
		for _, h := range w.hosts {
			w.runUntil(20*time.Second, "leases", h.confirmed)
			if got, _ := h.lease(); got != before[h] {
				t.Fatalf("seed %d: %s has %s, had %s\n%s", seed, h.config.Name, got, before[h], w.dump())
			}
		}
	}
}

// TestAResetKeepsSubnetsForAnHour: damage may be holders that never existed.
func TestAResetKeepsSubnetsForAnHour(t *testing.T) {
	w := newWorld(t, 4, 4, func(_ int, c *Config) {
		if c.MayFound {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/26"), SubnetLen: 28} // 3 slots
		}
	})
	w.bootInTurn(w.hosts[:3])
	w.run(5 * time.Second)
	for _, h := range w.hosts[:3] {
		h.crash()
	}
	resetHost(w.hosts[0])
	w.hosts[0].boot()
	w.hosts[3].boot()
	w.run(WishFor - time.Minute)
	if w.hosts[3].confirmed() {
		t.Fatal("a subnet that was kept went to another node")
	}
	w.runUntil(2*time.Minute, "the newcomer's lease", w.hosts[3].confirmed)
}

func TestAResetTakesWhatADamagedTableLeaves(t *testing.T) {
	w := newWorld(t, 4, 3, nil)
	w.bootInTurn(w.hosts)
	w.run(5 * time.Second)
	h := w.hosts[2]
	own, _ := h.lease()
	h.crash()
	for name, table := range map[string][]byte{"none": nil, "rubbish": []byte("\xff\x00rubbish"), "half": h.disk.table[:len(h.disk.table)/2]} {
		vault, given, err := Reset(h.id, h.disk.vault, table)
		if err != nil || given.Subnet != own || given.Others != 2 {
			t.Errorf("%s: %+v, %v; want %s and 2 others", name, given, err, own)
		}
		again, twice, err := Reset(h.id, vault, nil)
		if err != nil || twice.Subnet != own || twice.Others != 2 || string(again) != string(vault) {
			t.Errorf("%s: a second reset gives %+v, %v", name, twice, err)
		}
	}
	if _, _, err := Reset(h.id, []byte("rubbish"), nil); err == nil {
		t.Error("rubbish was taken for a vault")
	}
}

func TestAPinOfAKeptSubnetWaitsWithTheReason(t *testing.T) {
	w := newWorld(t, 4, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.run(5 * time.Second)
	kept, _ := w.hosts[1].lease()
	for _, h := range w.hosts[:2] {
		h.crash()
	}
	resetHost(w.hosts[0])
	w.hosts[0].boot()
	w.hosts[2].config.Pin = kept
	w.hosts[2].boot()
	want := kept.String() + " is promised to, or kept for, node " + w.hosts[1].id.Short()
	w.runUntil(10*time.Second, "the reason", func() bool { return w.hosts[2].core.View().Waiting == want })
	resetHost(w.hosts[1])
	w.hosts[1].boot() // and it is given to the node it is kept for
	w.runUntil(20*time.Second, "its lease", w.hosts[1].confirmed)
	if got, _ := w.hosts[1].lease(); got != kept {
		t.Errorf("it has %s, want %s", got, kept)
	}
}
