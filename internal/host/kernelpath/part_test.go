// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host"
)

func TestNothingIsTouchedWhileNothingIsKnown(t *testing.T) {
	k := newFakeKernel()
	p := on(k)
	k.list = append(k.list, right())
	if due := p.SetPeers([]Peer{testPeer(8, Direct)}); due {
		t.Error("something is due")
	}
	for range 2 {
		changes, err := p.Ensure(t.Context())
		wrong, checkErr := p.Check(t.Context())
		if len(changes)+len(wrong) > 0 || err != nil || checkErr != nil || len(k.did) > 0 {
			t.Errorf("changed %q, %v; wrong %q, %v", changes, err, wrong, checkErr)
		}
		p.Want(nil)
	}
	for _, path := range []string{Direct, Vxlan, Ipip} {
		if why := p.Unavailable(path); why == "" {
			t.Errorf("%s is available", path)
		}
	}
	if p.Name() != "kernel paths" {
		t.Error(p.Name())
	}
}

func TestAChangeOfPeersTouchesWhatDiffers(t *testing.T) {
	k := newFakeKernel()
	peers := []Peer{testPeer(8, Vxlan), testPeer(9, Direct), testPeer(10, "")}
	p := settled(t, k, peers...)
	expect := func(what string, want ...action) {
		t.Helper()
		if due := p.SetPeers(slices.Clone(peers)); due {
			t.Errorf("%s: not done at once", what)
		}
		if got := k.actions(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	expect("nothing")
	peers[2].Path = Vxlan
	expect("a path is proven", addRoute)
	peers[2].Path = Direct
	expect("a better one is proven", replaceRoute)
	peers[2].Path = ""
	expect("none is left", delRoute)
	peers = peers[1:]
	expect("a peer goes", delRoute, delFDB, delNeighbor)
	peers = append(peers, testPeer(11, Vxlan))
	expect("a peer comes", setNeighbor, setFDB, addRoute)
	if got := p.Installed(); len(got) != 2 || got[netip.MustParsePrefix("10.244.11.0/24")] != "flannel.1" {
		t.Errorf("installed: %v", got)
	}
}

// What SetPeers cannot do is an error of the next Ensure, and done when it can
// be.
func TestStepsThatFailAreTriedAgain(t *testing.T) {
	k := newFakeKernel()
	p := settled(t, k, testPeer(8, Vxlan))
	k.fails[addRoute] = errBroken
	if due := p.SetPeers([]Peer{testPeer(8, Vxlan), testPeer(9, Direct)}); !due {
		t.Error("nothing is due")
	}
	if _, err := p.Ensure(t.Context()); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "route to 10.244.9.0/24 is missing") {
		t.Errorf("Ensure: %v", err)
	}
	k.fails[addRoute] = errNotYet
	if _, err := p.Ensure(t.Context()); !errors.Is(err, host.ErrPending) {
		t.Errorf("Ensure: %v", err)
	}
	delete(k.fails, addRoute)
	if changes, err := p.Ensure(t.Context()); err != nil || len(changes) != 1 {
		t.Errorf("Ensure: %q, %v", changes, err)
	}
}

// Many failures of one kind are told in a few words, and what is pending does
// not hide what is wrong.
func TestFailuresAreToldInFewWords(t *testing.T) {
	k := newFakeKernel()
	p := on(k)
	c := testConfig()
	p.Want(&c)
	var peers []Peer
	for n := range byte(100) {
		peers = append(peers, testPeer(10+n, Direct))
	}
	p.SetPeers(peers)
	k.fails[addRoute] = errBroken
	_, err := p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != maxErrors+1 || !strings.Contains(all[maxErrors].Text, "97 more") {
		t.Errorf("%+v", all)
	}
	k.fails[addRoute] = errNotYet
	k.fails[setFDB] = errBroken
	p.SetPeers([]Peer{testPeer(8, Direct)})
	if _, err := p.Ensure(t.Context()); errors.Is(err, host.ErrPending) || !errors.Is(err, errBroken) {
		t.Errorf("Ensure: %v", err)
	}
}

func TestRefusedPeersAreProblems(t *testing.T) {
	k := newFakeKernel()
	p := settled(t, k, testPeer(8, Vxlan))
	twin := testPeer(9, Vxlan)
	twin.MAC = testPeer(8, "").MAC
	p.SetPeers([]Peer{twin, testPeer(8, Vxlan)})
	if got := p.want.refused; len(got) != 1 || !strings.Contains(got[twin.Prefix], "MAC address") {
		t.Errorf("refused: %v", got)
	}
	_, err := p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || !strings.HasPrefix(all[0].Text, "no kernel path to the holder of 10.244.9.0/24: ") {
		t.Errorf("%+v", all)
	}
}

func TestRouteInTheWay(t *testing.T) {
	k := newFakeKernel()
	dst := netip.MustParsePrefix("10.244.8.0/24")
	k.entered.taken[dst] = "10.244.8.0/24 via 192.0.2.1 dev eth0"
	p := on(k)
	c := testConfig()
	p.Want(&c)
	p.SetPeers([]Peer{testPeer(8, Direct), testPeer(9, Direct)})
	_, err := p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || all[0].Advice != "ip route del 10.244.8.0/24 via 192.0.2.1 dev eth0" {
		t.Errorf("%+v", all)
	}
	delete(k.entered.taken, dst)
	k.fails[addRoute] = errTaken // it comes between the look and the step
	_, err = p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || all[0].Advice != "see ip route show 10.244.8.0/24" {
		t.Errorf("%+v", all)
	}
}

// A route that leads the same way, such as flannel's host-gw leaves behind, is
// taken over without a gap. That is done with the kernel in view only.
func TestRouteThatLeadsTheSameWayIsTakenOver(t *testing.T) {
	k := newFakeKernel()
	near := testPeer(8, Direct)
	near.VXLAN = false
	words := "10.244.8.0/24 via " + near.Endpoint.String() + " dev eth0"
	leave := func(via netip.Addr) {
		k.entered.taken[near.Prefix], k.entered.plain[near.Prefix] = words, hop{via, testConfig().Underlay}
		delete(k.entered.routes, near.Prefix)
	}
	leave(near.Endpoint)
	p := on(k)
	c := testConfig()
	p.Want(&c)
	p.SetPeers([]Peer{near})
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := k.entered.routes[near.Prefix]; r.src != c.Lease.Addr() || len(k.entered.taken) != 0 {
		t.Errorf("route %+v, others' %v", r, k.entered.taken)
	}
	p.SetPeers(nil)
	leave(near.Endpoint)
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.did = nil
	if due := p.SetPeers([]Peer{near}); !due || len(k.did) != 0 {
		t.Errorf("done without a look: due %t, %+v", due, k.did)
	}
	leave(near.Endpoint.Next())
	if _, err := p.Ensure(t.Context()); err == nil || len(k.entered.taken) != 1 {
		t.Errorf("a route elsewhere is taken over: %v", err)
	}
}

// What this host lacks is said. Other paths go on.
func TestPathsThatThisHostHasNot(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*fakeKernel)
		path     string
		why      string
		problems int
	}{
		"no module": {func(k *fakeKernel) { k.fails[addDevice] = errNoModule }, Vxlan, "modprobe vxlan", 0},
		"port":      {func(k *fakeKernel) { k.fails[setUp] = errPortTaken }, Vxlan, "UDP port 8472 of flannel.1", 1},
		"VNI":       {func(k *fakeKernel) { k.fails[addDevice] = errVNITaken }, Vxlan, "another device has VNI 1 and port 8472", 1},
		"ipip":      {func(k *fakeKernel) { k.fails[addDevice] = errTunnelTaken }, Vxlan, "takes all packets of protocol 4 to 192.168.7.1", 1},
		"foreign":   {func(k *fakeKernel) { k.list = append(k.list, device{name: "flannel.1", kind: "bridge"}) }, Vxlan, "a bridge device without flanneld's alias", 1},
		"alias": {func(k *fakeKernel) {
			k.list = append(k.list, device{name: "flannel.1", kind: kindVXLAN, alias: "mine", up: true})
		}, Vxlan, `a vxlan device with the alias "mine"`, 1},
		"address": {func(k *fakeKernel) { k.fails[addAddr] = errBroken }, Vxlan, "lacks the address", 1},
		"strict":  {func(k *fakeKernel) { k.loose = false }, Direct, "rp_filter of eth0 is strict", 0},
		"forward": {func(k *fakeKernel) { k.forwards = false }, Direct, "net.ipv4.conf.eth0.forwarding is 0", 0},
		"bond": {func(k *fakeKernel) { k.spreads = "bond0 (mode balance-alb)" }, Direct,
			"bond0 (mode balance-alb) sends from several MAC addresses", 0},
	} {
		k := newFakeKernel()
		c.change(k)
		p := on(k)
		config := testConfig()
		p.Want(&config)
		p.SetPeers([]Peer{testPeer(8, Vxlan), testPeer(9, Direct)})
		_, err := p.Ensure(t.Context())
		if all := host.Problems(err); len(all) != c.problems || len(all) == 1 && !strings.Contains(all[0].Text, c.why) {
			t.Errorf("%s: problems %+v", name, all)
		}
		if why := p.Unavailable(c.path); !strings.Contains(why, c.why) {
			t.Errorf("%s: %q", name, why)
		}
		<-p.Changed()
		want := map[string]string{Vxlan: "flannel.1", Direct: "eth0"}
		if c.path == Vxlan {
			delete(want, Vxlan)
		}
		got := p.Installed()
		if len(got) != len(want) || got[netip.MustParsePrefix("10.244.9.0/24")] != "eth0" {
			t.Errorf("%s: installed %v", name, got)
		}
		if wrong, err := p.Check(t.Context()); c.problems == 0 && (err != nil || len(wrong) > 0) {
			t.Errorf("%s: Check: %q, %v", name, wrong, err)
		}
	}
}

func TestUnwantedPathsAreNotAvailable(t *testing.T) {
	p := on(newFakeKernel())
	p.Want(&Config{})
	for _, path := range []string{Direct, Vxlan, Ipip} {
		if why := p.Unavailable(path); why != "it is not wanted" {
			t.Errorf("%s: %q", path, why)
		}
	}
	if _, err := p.Ensure(t.Context()); err == nil {
		t.Error("an empty configuration is taken")
	}
	c := testConfig()
	c.VXLAN.Name = "flannel0"
	p.Want(&c)
	if _, err := p.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be the overlay device and") {
		t.Errorf("two devices of one name: %v", err)
	}
}

// An earlier process left devices and routes. They stay until the peers are
// known.
func TestRestart(t *testing.T) {
	k := newFakeKernel()
	settled(t, k, testPeer(8, Vxlan), testPeer(9, Direct))
	p := on(k)
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	p.Want(&c)
	if changes, err := p.Ensure(t.Context()); err != nil || !slices.Equal(changes, []string{"device flannel.ipip is missing"}) {
		t.Errorf("changed %q, %v", changes, err)
	}
	if len(p.Installed()) != 2 {
		t.Errorf("installed: %v", p.Installed())
	}
	p.SetPeers([]Peer{testPeer(8, Ipip)})
	if got := p.Installed(); len(got) != 1 || got[netip.MustParsePrefix("10.244.8.0/24")] != "flannel.ipip" {
		t.Errorf("installed: %v", got)
	}
}

func TestRemoveAndPresent(t *testing.T) {
	k := newFakeKernel()
	settled(t, k, testPeer(8, Vxlan), testPeer(9, Direct))
	p := on(k) // a command without a daemon
	if got := p.Present(); !slices.Equal(got, []string{"device flannel.1, its addresses and routes", "2 routes to peers"}) {
		t.Errorf("present: %q", got)
	}
	k.fails[delRoute] = errBroken
	if err := p.Remove(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("Remove: %v", err)
	}
	if len(k.list) > 0 {
		t.Error("one failure keeps the next step from its turn")
	}
	delete(k.fails, delRoute)
	for range 2 {
		if err := p.Remove(t.Context()); err != nil || len(p.Present()) > 0 {
			t.Errorf("Remove: %v, left %q", err, p.Present())
		}
	}
}

func TestChecksumOffload(t *testing.T) {
	k := newFakeKernel()
	p := on(k)
	if err := p.SetChecksumOffload(false); err != nil { // before anything is known
		t.Error(err)
	}
	c := testConfig()
	p.Want(&c)
	if _, err := p.Ensure(t.Context()); err != nil || k.list[0].checksums {
		t.Errorf("made with %+v, %v", k.list, err)
	}
	k.did = nil
	for _, on := range []bool{true, true, false} {
		if err := p.SetChecksumOffload(on); err != nil || k.list[0].checksums != on {
			t.Errorf("set to %t: %v", on, err)
		}
	}
	if got := k.actions(); len(got) != 2 {
		t.Errorf("did %v", got)
	}
	k.fails[setChecksums] = errBroken
	if err := p.SetChecksumOffload(true); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	k.list = nil
	if err := p.SetChecksumOffload(false); err != nil {
		t.Errorf("without a device: %v", err)
	}
}

func TestKernelThatCannotBeRead(t *testing.T) {
	k := newFakeKernel()
	p := settled(t, k, testPeer(8, Vxlan))
	k.unread = errBroken
	for name, err := range map[string]error{
		"Ensure": func() error { _, err := p.Ensure(t.Context()); return err }(),
		"Check":  func() error { _, err := p.Check(t.Context()); return err }(),
		"Remove": p.Remove(t.Context()), "SetChecksumOffload": p.SetChecksumOffload(false),
	} {
		if name != "SetChecksumOffload" && !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(p.Present()) > 0 {
		t.Error("something is present")
	}
	if due := p.SetPeers(nil); !due {
		t.Error("nothing is due")
	}
	closed := on(k)
	closed.open = func() (kernel, error) { return nil, ErrPlatform }
	c := testConfig()
	closed.Want(&c)
	if _, err := closed.Ensure(t.Context()); !errors.Is(err, ErrPlatform) {
		t.Errorf("Ensure: %v", err)
	}
	if _, err := closed.Check(t.Context()); !errors.Is(err, ErrPlatform) {
		t.Errorf("Check: %v", err)
	}
	if err := closed.Remove(t.Context()); err != nil || closed.Present() != nil {
		t.Errorf("Remove: %v", err)
	}
}

// The device of another flanneld on this host is not to be deleted: the advice
// is another setting. The alias names that daemon's overlay device.
func TestDeviceOfAnotherFlannelD(t *testing.T) {
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	for name, test := range map[string]struct {
		other  device
		flags  []string
		absent string // what the text may not name
	}{
		"the same VNI":   {device{name: "flannel.1", kind: kindVXLAN, vni: 1, port: 8472, up: true}, []string{"--vxlan-vni", "--vxlan-port"}, "--backend"},
		"another port":   {device{name: "flannel.1", kind: kindVXLAN, vni: 1, port: 4789, up: true}, []string{"--vxlan-vni", "--vxlan-port"}, "--backend"},
		"a renamed one":  {device{name: "tunnel", kind: kindVXLAN, vni: 1, port: 8472, up: true}, []string{"--vxlan-vni", "--vxlan-port"}, "--backend"},
		"ipip":           {device{name: "flannel.ipip", kind: kindIPIP, local: c.Local, up: true}, []string{"--backend", "ipip"}, "--vxlan"},
		"a renamed ipip": {device{name: "tunnel", kind: kindIPIP, local: c.Local, up: true}, []string{"--backend", "ipip"}, "--vxlan"},
	} {
		k := newFakeKernel()
		test.other.alias = "flanneld 0123456789abcdef flannel9"
		k.list = []device{test.other}
		p := on(k)
		p.Want(&c)
		_, err := p.Ensure(t.Context())
		all := host.Problems(err)
		if len(all) != 1 || !strings.Contains(all[0].Text, test.other.name) || !strings.Contains(all[0].Text, "the flanneld of flannel9") {
			t.Errorf("%s: %+v", name, all)
			continue
		}
		for _, flag := range test.flags {
			if !strings.Contains(all[0].Advice, flag) {
				t.Errorf("%s: no %s in the advice %q", name, flag, all[0].Advice)
			}
		}
		if strings.Contains(all[0].Advice, "ip link delete") || strings.Contains(all[0].Advice, test.absent) {
			t.Errorf("%s: advice %q", name, all[0].Advice)
		}
	}
}

// An ipip device without an alias may be another program's: it is refused, and
// Remove leaves it.
func TestIPIPDeviceOfAnotherProgramStays(t *testing.T) {
	k := newFakeKernel()
	c := testConfig()
	c.VXLAN, c.IPIP = nil, &IPIP{Name: "flannel.ipip"}
	other := device{name: "flannel.ipip", kind: kindIPIP, local: c.Local, plain: true}
	k.list = []device{other}
	p := on(k)
	p.Want(&c)
	p.SetPeers([]Peer{testPeer(8, Ipip)})
	_, err := p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || all[0].Advice != "ip link delete flannel.ipip" {
		t.Errorf("%+v", all)
	}
	if why := p.Unavailable(Ipip); !strings.Contains(why, "without flanneld's alias") {
		t.Errorf("unavailable: %q", why)
	}
	if err := p.Remove(t.Context()); err != nil || len(k.did) > 0 {
		t.Errorf("Remove: %v, did %v", err, k.actions())
	}
}

// A device that cannot be marked as flanneld's is not left behind without an
// alias, in which case it would be another program's from then on.
func TestDeviceThatCannotBeMarkedIsTakenBack(t *testing.T) {
	k := newFakeKernel()
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	p := on(k)
	p.Want(&c)
	k.fails[setAlias] = errBroken
	if _, err := p.Ensure(t.Context()); !errors.Is(err, errBroken) || len(k.list) > 0 {
		t.Errorf("Ensure: %v, left %+v", err, k.list)
	}
	delete(k.fails, setAlias)
	if _, err := p.Ensure(t.Context()); err != nil || len(k.list) != 2 {
		t.Errorf("Ensure: %v, made %+v", err, k.list)
	}
}

// A device that is in the place of ours only after the look is not touched.
func TestDeviceThatVanishesAtOnce(t *testing.T) {
	k := newFakeKernel()
	p := on(k)
	p.open = func() (kernel, error) { return forgetful{k}, nil }
	c := testConfig()
	p.Want(&c)
	if _, err := p.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "deleted at once") {
		t.Errorf("Ensure: %v", err)
	}
}

// forgetful is a kernel that never has devices.
type forgetful struct{ *fakeKernel }

func (forgetful) devices([]string) ([]device, error) { return nil, nil }
