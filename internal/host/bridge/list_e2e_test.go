// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package bridge

import (
	"net/netip"
	"slices"
	"testing"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

func TestBridgesOfThisHostAreListed(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	if all, err := List(); err != nil || len(all) > 0 {
		t.Errorf("without any: %+v, %v", all, err)
	}
	linktest.Script(t, `
		ip link add docker0 type bridge
		ip link add cni0 type bridge
		ip addr add 172.17.0.1/16 dev docker0
		ip addr add 10.244.7.1/24 dev cni0
		ip addr add fd00::1/64 dev cni0
		ip link add pod0 type veth peer name far0
		ip link set pod0 master cni0
		ip tuntap add dev other0 mode tun
		ip addr add 10.244.7.9/24 dev other0`)
	all, err := List()
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	for _, b := range all {
		if len(b.Addrs) != 1 || b.Used() != (b.Name == "cni0") {
			t.Errorf("got %+v", b)
		}
	}
	if got := all[slices.IndexFunc(all, func(b Bridge) bool { return b.Name == "cni0" })].Ports; !slices.Equal(got, []string{"pod0"}) {
		t.Errorf("the ports are %q", got)
	}
	if got := OfLease(all, lease); !slices.Equal(got, []string{"cni0"}) {
		t.Errorf("the bridges of the lease are %q", got)
	}
	if !InUse(all, lease) {
		t.Error("an attached container is not seen")
	}
	linktest.Run(t, "ip link delete pod0")
	if all, err := List(); err != nil || InUse(all, lease) {
		t.Errorf("after it is gone: %+v, %v", all, err)
	}
	linktest.Script(t, "ip link delete cni0\nip link delete docker0\nip link delete other0")
	if all, err := List(); err != nil || len(all) > 0 {
		t.Errorf("after all were deleted: %+v, %v", all, err)
	}
}
