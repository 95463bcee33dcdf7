// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func actionsOf(steps []step) []action {
	var all []action
	for _, s := range steps {
		all = append(all, s.do)
	}
	return all
}

// right is the vxlan device of testConfig as it should be.
func right() device { return testConfig().wantedDevices("flannel0", true)[0] }

func TestDeviceIsCorrected(t *testing.T) {
	stale := netip.MustParsePrefix("10.244.9.0/32")
	for name, c := range map[string]struct {
		change func(*device)
		want   []action
	}{
		"nothing":        {func(*device) {}, nil},
		"alias":          {func(d *device) { d.alias = "flanneld old flannel0" }, []action{setAlias}},
		"MAC address":    {func(d *device) { d.mac[5] = 99 }, []action{setMAC}},
		"MTU":            {func(d *device) { d.mtu = 1500 }, []action{setMTU}},
		"in a bridge":    {func(d *device) { d.enslaved = true }, []action{setAlone}},
		"IPv6":           {func(d *device) { d.ip6auto = true }, []action{setIP6None}},
		"forwarding":     {func(d *device) { d.forwarding = false }, []action{setForwarding}},
		"strict":         {func(d *device) { d.rpFilter = 1 }, []action{setLoose}},
		"no filter":      {func(d *device) { d.rpFilter = 0 }, []action{setLoose}},
		"down":           {func(d *device) { d.up = false }, []action{setUp}},
		"older address":  {func(d *device) { d.addrs[0] = stale }, []action{addAddr, delAddr}},
		"no checksums":   {func(d *device) { d.checksums = false }, nil}, // another program's setting
		"fresh":          {func(d *device) { *d = device{mac: d.mac, mtu: d.mtu, checksums: true, ip6auto: true} }, []action{setAlias, setIP6None, addAddr, setForwarding, setLoose, setUp}},
		"several things": {func(d *device) { d.mtu, d.up = 9000, false }, []action{setMTU, setUp}},
	} {
		h := right()
		c.change(&h)
		steps := planDevice(&h, right())
		if got := actionsOf(steps); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		for _, text := range texts(steps) {
			if !strings.HasPrefix(text, "device flannel.1 ") {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
	if got := actionsOf(planDevice(nil, right())); !slices.Equal(got, []action{addDevice}) {
		t.Errorf("missing: %v", got)
	}
	own := testConfig().wantedDevices("flannel0", false)[0]
	h := right()
	if got := actionsOf(planDevice(&h, own)); !slices.Equal(got, []action{setChecksums}) {
		t.Errorf("checksums are not to be left to the device: %v", got)
	}
}

// Devices of ours that are not wanted go, and other programs' never.
func TestStaleDevices(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*device)
		goes   bool
	}{
		"as wanted":            {func(*device) {}, false},
		"another VNI":          {func(d *device) { d.vni = 2 }, true},
		"another port":         {func(d *device) { d.port = 4789 }, true},
		"another address":      {func(d *device) { d.local = netip.MustParseAddr("192.168.7.2") }, true},
		"learning":             {func(d *device) { d.plain = false }, true},
		"another name":         {func(d *device) { d.name = "flannel.2" }, true},
		"ipip of that name":    {func(d *device) { d.kind = kindIPIP }, true},
		"another daemon's":     {func(d *device) { d.name, d.alias = "flannel.2", "flanneld test flannel1" }, false},
		"real flannel's":       {func(d *device) { d.name, d.alias = "flannel.2", "" }, false},
		"a bridge":             {func(d *device) { d.name, d.kind = "flannel.2", "bridge" }, false},
		"just made":            {func(d *device) { d.alias, d.up = "", false }, false},
		"just made, not by us": {func(d *device) { d.alias, d.up, d.mac = "", false, hwaddr{2} }, false},
	} {
		h := right()
		c.change(&h)
		steps := planStale([]device{h}, []device{right()}, "flannel0")
		if got := len(steps) == 1 && steps[0].do == delDevice; got != c.goes || len(steps) > 1 {
			t.Errorf("%s: %v", name, texts(steps))
		}
	}
	h := right()
	if h.alias, h.up = "", false; !ours(h, []device{right()}, "flannel0") {
		t.Error("a device that was just made is not ours")
	}
	if h.up = true; ours(h, []device{right()}, "flannel0") {
		t.Error("a device in use without an alias is ours")
	}
	c := testConfig()
	c.VXLAN, c.IPIP = nil, &IPIP{Name: "flannel.ipip"}
	want := c.wantedDevices("flannel0", true)
	h = want[0]
	if h.alias, h.up = "", false; ours(h, want, "flannel0") { // it has no MAC address to be known by
		t.Error("an ipip device without an alias is ours")
	}
}

func TestEntriesComeAndGoInOrder(t *testing.T) {
	c := testConfig()
	peers := []Peer{testPeer(8, Vxlan), testPeer(9, Vxlan)}
	two, one := c.wantedEntries(peers, nil).entries, c.wantedEntries(peers[:1], nil).entries
	up := []action{setNeighbor, setFDB, addRoute}
	down := []action{delRoute, delFDB, delNeighbor}
	if got := actionsOf(planEntries(one, two)); !slices.Equal(got, up) {
		t.Errorf("one comes: %v", got)
	}
	if got := actionsOf(planEntries(two, one)); !slices.Equal(got, down) {
		t.Errorf("one goes: %v", got)
	}
	peers[1].Endpoint = netip.MustParseAddr("192.168.7.99")
	if got := actionsOf(planEntries(two, c.wantedEntries(peers, nil).entries)); !slices.Equal(got, []action{setFDB}) {
		t.Errorf("one moves: %v", got)
	}
	peers[1] = testPeer(9, Direct)
	if got := actionsOf(planEntries(two, c.wantedEntries(peers, nil).entries)); !slices.Equal(got, []action{replaceRoute}) {
		t.Errorf("one changes its path: %v", got)
	}
	peers[1].MAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x77} // another holder of the prefix
	steps := planEntries(two, c.wantedEntries(peers, nil).entries)
	if got := actionsOf(steps); !slices.Equal(got, []action{setNeighbor, setFDB, replaceRoute, delFDB}) {
		t.Errorf("another holder: %v", got)
	}
	two.neighbors[netip.MustParseAddr("224.0.0.22")] = neighbor{mac: hwaddr{1, 0, 0x5e}}
	if got := planEntries(two, two); len(got) > 0 {
		t.Errorf("nothing changes: %v", texts(got))
	}
	if got := actionsOf(planEntries(two, newEntries())); slices.Contains(got[len(got)-1:], delFDB) || len(got) != 6 {
		t.Errorf("the kernel's own neighbors: %v", got)
	}
}

// Whatever is there and whatever is wanted, the steps lead from one to the
// other, and then there is nothing to do.
func TestStepsLeadToWhatIsWanted(t *testing.T) {
	c := testConfig()
	drawn := func(t *rapid.T, name string) []Peer {
		var all []Peer
		for range rapid.IntRange(0, 6).Draw(t, name) {
			p := testPeer(byte(rapid.IntRange(8, 12).Draw(t, "lease")), rapid.SampledFrom([]string{"", Vxlan, Direct}).Draw(t, "path"))
			p.Endpoint = netip.AddrFrom4([4]byte{192, 168, 7, byte(rapid.IntRange(20, 23).Draw(t, "endpoint"))})
			p.MAC[5] = byte(rapid.IntRange(7, 11).Draw(t, "MAC"))
			p.VXLAN = rapid.Bool().Draw(t, "VXLAN")
			all = append(all, p)
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		first := c.wantedEntries(drawn(t, "before"), nil)
		second := c.wantedEntries(drawn(t, "after"), first.owners)
		have := first.entries
		for _, s := range planEntries(have, second.entries) {
			have.apply(s)
		}
		if left := planEntries(have, second.entries); len(left) > 0 {
			t.Fatalf("left to do: %q", texts(left))
		}
		for dst, r := range second.routes { // each route by vxlan finds its way
			if r.dev != "flannel.1" {
				continue
			}
			n, known := have.neighbors[r.via]
			if _, leads := have.fdb[n.mac]; !known || !leads || n.mac == toHWAddr(c.VXLAN.MAC) {
				t.Fatalf("the route to %s leads to %s, %+v", dst, r.via, n)
			}
		}
	})
}

func TestManyChangesAreToldInOneSentence(t *testing.T) {
	c := testConfig()
	var peers []Peer
	for n := range byte(100) {
		peers = append(peers, testPeer(10+n, Vxlan))
	}
	all := c.wantedEntries(peers, nil).entries
	got := texts(planEntries(newEntries(), all))
	want := []string{"100 neighbors of peers were missing or wrong", "100 FDB entries of peers were missing or wrong", "100 routes to peers were missing"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := texts(planEntries(all, newEntries())); len(got) != 3 || got[0] != "100 routes were not wanted" {
		t.Errorf("got %q", got)
	}
	few := c.wantedEntries(peers[:2], nil).entries
	if got := texts(planEntries(newEntries(), few)); len(got) != 6 || got[0] != "neighbor 10.244.10.0 is missing" {
		t.Errorf("got %q", got)
	}
}
