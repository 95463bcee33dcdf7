// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package monitor

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// A route that another program adds is found at once, and its end, too.
func TestDetoursAreFoundWhenRoutesChange(t *testing.T) {
	linktest.Script(t, `
		ip link add flannel0 type veth peer name flannel1
		ip link add eth0 type veth peer name eth1
		ip address add 10.244.1.0/32 dev flannel0
		ip address add 192.0.2.1/24 dev eth0
		ip link set flannel0 up
		ip link set flannel1 up
		ip link set eth0 up
		ip link set eth1 up
		ip route add 10.244.0.0/16 dev flannel0 scope link src 10.244.1.0`)
	changed := make(chan struct{}, 10)
	s := &surveyor{
		log: slog.New(slog.DiscardHandler), network: netip.MustParsePrefix("10.244.0.0/16"), lease: netip.MustParsePrefix("10.244.1.0/24"),
		device: "flannel0", changed: func() { changed <- struct{}{} },
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(ctx)
	}()
	wait := func(what string, want int) {
		t.Helper()
		for deadline := time.After(20 * time.Second); len(s.current()) != want; {
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s: detours %+v, want %d", what, s.current(), want)
			}
		}
	}
	<-changed
	wait("at first", 0)
	linktest.Run(t, "ip route add 10.244.128.0/17 via 192.0.2.254")
	wait("with a route to a part of the network", 1)
	if d := s.current()[0]; d.Prefix.String() != "10.244.128.0/17" || d.Device != "eth0" || !strings.Contains(d.Remove, "ip route del 10.244.128.0/17") {
		t.Errorf("got %+v", d)
	}
	linktest.Run(t, "ip route del 10.244.128.0/17")
	wait("after its end", 0)
	cancel()
	<-ended
}

// Packets of the containers come from the bridge with an address of the lease.
func TestBridgesOfTheLeaseAreOrigins(t *testing.T) {
	linktest.Script(t, `
		ip link add docker0 type bridge
		ip address add 10.244.1.1/24 dev docker0
		ip link set docker0 up`)
	t.Cleanup(func() { linktest.Try("ip link delete docker0") })
	all, err := Origins(netip.MustParsePrefix("10.244.1.0/24"))
	if err != nil || len(all) != 2 || all[1].Device != "docker0" || all[1].Source.String() != "10.244.1.2" {
		t.Errorf("origins %+v, %v", all, err)
	}
}
