// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package dataplane

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/tun"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// testConfig is a plane on loopback.
func testConfig(t *testing.T) Config {
	t.Helper()
	s := settings(t, map[string][]string{"lanes": {"2"}, "realtime": {"off"}})
	routes := NewRoutes()
	snapshot := plantest.Snapshot(peers.Confirmed)
	if err := routes.Store(plan.Make(plan.Input{Snapshot: snapshot}), snapshot, s.Log); err != nil {
		t.Fatal(err)
	}
	return Config{
		Settings: s, Lease: netip.MustParsePrefix("10.244.1.0/24"), Routes: routes,
		Listen: func() (Sockets, error) { return s.Listen(netip.MustParseAddr("127.0.0.1")) },
		Link: link.Config{
			Name: "flannel0", Alias: link.AliasPrefix + " test", Addr: netip.MustParseAddr("10.244.1.0"), MTU: 1472,
			Network: plantest.Network, TxQueueLen: 1000,
		},
	}
}

func owner(t *testing.T) link.Owner {
	t.Helper()
	o, err := link.Owned("flannel0")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAPlaneForwardsAndLeavesItsDevice(t *testing.T) {
	c := testConfig(t)
	for round := range 2 { // the second one finds the device
		p, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan struct{}, 100)
		p.Start(func([]byte) bool {
			select {
			case asked <- struct{}{}:
			default:
			}
			return false
		})
		if p.Lease() != c.Lease || p.Network() != plantest.Network || p.Link() != c.Link {
			t.Errorf("lease %s, network %s, device %+v", p.Lease(), p.Network(), p.Link())
		}
		if wrong, err := link.Check(c.Link); err != nil || len(wrong) > 0 {
			t.Errorf("device: %v, %v", wrong, err)
		}
		if names := p.Offloads(); len(names) != 5 || names[0].Name != "tun-csum" || names[4].Name != "udp-gro" {
			t.Errorf("offloads %+v", names)
		}
		linktest.Try("ping -c 1 -W 1 10.244.77.7") // no node has it
		for deadline := time.Now().Add(10 * time.Second); p.Stats().Egress.Drops == nil || drops(p) == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: a packet without a route is not counted: %+v", round, p.Stats())
			}
		}
		if err := p.Inject(make([]byte, 20)); err != nil && !strings.Contains(err.Error(), "invalid") {
			t.Errorf("inject: %v", err)
		}
		if fits, err := p.Send(netip.MustParseAddrPort("127.0.0.1:9"), make([]byte, 100)); err != nil {
			t.Errorf("send: %d, %v", fits, err)
		}
		p.Close()
		if err, open := <-p.Done(); open || err != nil {
			t.Errorf("after Close: %v", err)
		}
		if owner(t) != link.Ours {
			t.Error("the device is gone")
		}
	}
	if err := link.Remove("flannel0"); err != nil {
		t.Fatal(err)
	}
}

func drops(p *Plane) (n uint64) {
	for _, d := range p.Stats().Egress.Drops {
		n += d.Packets
	}
	return n
}

func TestADeletedDeviceEndsThePlane(t *testing.T) {
	p, err := Open(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Start(func([]byte) bool { return false })
	linktest.Run(t, "ip link delete flannel0")
	select {
	case err := <-p.Done():
		if !errors.Is(err, tun.ErrDeviceGone) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
	p.Close()
}

func TestAPlaneThatCannotBeOpenedLeavesNothing(t *testing.T) {
	c := testConfig(t)
	c.Listen = func() (Sockets, error) { return nil, errors.New("no socket") }
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("got %v", err)
	}
	if owner(t) != link.Absent {
		t.Error("the device is left behind")
	}
	p, err := Open(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Close() // never started: its sockets are free again
	again, err := Open(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := link.Remove("flannel0"); err != nil {
		t.Fatal(err)
	}
}
