// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"flanneld/internal/host/link"
)

// fakeKernel is a kernel in memory. It does what the real one does to a device
// that is made, set up or deleted.
type fakeKernel struct {
	list            []device
	entered         entries
	forwards, loose bool
	spreads         string
	fails           map[action]error // what a step of this kind fails with
	unread          error            // nothing can be read
	did             []step
	next            int
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{entered: newEntries(), forwards: true, loose: true, fails: map[action]error{}}
}

func (k *fakeKernel) devices([]string) ([]device, error) { return slices.Clone(k.list), k.unread }

func (k *fakeKernel) entries(q query) (entries, error) {
	e := newEntries()
	if q.vxlan != "" {
		maps.Copy(e.neighbors, k.entered.neighbors)
		maps.Copy(e.fdb, k.entered.fdb)
	}
	maps.Copy(e.routes, k.entered.routes)
	maps.Copy(e.taken, k.entered.taken)
	maps.Copy(e.plain, k.entered.plain)
	return e, k.unread
}

func (k *fakeKernel) underlay(string) (underlay, error) {
	return underlay{forwards: k.forwards, strict: !k.loose, spreads: k.spreads}, k.unread
}

func (k *fakeKernel) do(_ string, s step) error {
	if err := k.fails[s.do]; err != nil {
		return err
	}
	k.did = append(k.did, s)
	i := slices.IndexFunc(k.list, func(d device) bool { return d.name == s.dev.name })
	switch s.do {
	case addDevice:
		if slices.ContainsFunc(k.list, s.dev.collides) {
			return map[string]error{kindVXLAN: errVNITaken, kindIPIP: errTunnelTaken}[s.dev.kind]
		}
		k.next++
		made := device{
			name: s.dev.name, kind: s.dev.kind, vni: s.dev.vni, port: s.dev.port, local: s.dev.local, plain: true,
			index: k.next, mac: s.dev.mac, mtu: s.dev.mtu, checksums: true, forwarding: true, ip6auto: true,
		}
		k.list = append(k.list, made)
	case delDevice:
		k.list = slices.Delete(k.list, i, i+1)
		maps.DeleteFunc(k.entered.routes, func(_ netip.Prefix, r route) bool { return r.dev == s.dev.name })
		if s.dev.kind == kindVXLAN {
			clear(k.entered.neighbors)
			clear(k.entered.fdb)
		}
	case setNeighbor, setFDB, addRoute, replaceRoute, takeRoute, delRoute, delFDB, delNeighbor:
		k.entered.apply(s)
	default:
		k.list[i].change(s)
	}
	return nil
}

// change does one step to a device.
func (d *device) change(s step) {
	switch s.do {
	case setAlias:
		d.alias = s.dev.alias
	case setMAC:
		d.mac = s.dev.mac
	case setMTU:
		d.mtu = s.dev.mtu
	case setAlone:
		d.enslaved = false
	case setIP6None:
		d.ip6auto = false
	case setForwarding:
		d.forwarding = true
	case setLoose:
		d.rpFilter = link.RPLoose
	case setChecksums:
		d.checksums = s.dev.checksums
	case addAddr:
		d.addrs = append(d.addrs, s.addr)
	case delAddr:
		d.addrs = slices.DeleteFunc(d.addrs, func(a netip.Prefix) bool { return a == s.addr })
	case setUp:
		d.up = true
	}
}

// actions are the kinds of the steps that were done, and forgets them.
func (k *fakeKernel) actions() []action {
	var all []action
	for _, s := range k.did {
		all = append(all, s.do)
	}
	k.did = nil
	return all
}

// on is a part on a kernel in memory.
func on(k *fakeKernel) *Part {
	p := NewPart("flannel0")
	p.open = func() (kernel, error) { return k, nil }
	return p
}

// settled is a part with the configuration and peers of the tests, in place.
func settled(t *testing.T, k *fakeKernel, peers ...Peer) *Part {
	t.Helper()
	p := on(k)
	c := testConfig()
	p.Want(&c)
	if due := p.SetPeers(peers); !due {
		t.Error("peers are set before the devices were looked at")
	}
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := p.Ensure(t.Context()); err != nil || len(again) > 0 {
		t.Fatalf("Ensure is not idempotent: %q, %v", again, err)
	}
	if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Fatalf("Check after Ensure: %q, %v", wrong, err)
	}
	k.did = nil
	return p
}

var errBroken = errors.New("broken on purpose")
