// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"net"
	"net/netip"
	"testing"
)

func TestBridgeOfAnEarlierLeaseIsSeen(t *testing.T) {
	at := func(texts ...string) (all []net.Addr) {
		for _, text := range texts {
			p := ipNet(netip.MustParsePrefix(text))
			all = append(all, &p)
		}
		return all
	}
	for _, c := range []struct {
		addresses []net.Addr
		lease     string
		want      string
	}{
		{at("10.244.7.1/24"), "10.244.7.0/24", ""},
		{at("10.244.9.1/24"), "10.244.7.0/24", "10.244.9.1/24"},
		{at("fe80::1/64", "10.244.9.1/24"), "10.244.7.0/24, fd00::/64", "10.244.9.1/24"},
		{at("fe80::1/64"), "10.244.7.0/24", ""},
		{at("10.244.9.1/24"), "no subnet", ""},
		{nil, "10.244.7.0/24", ""},
	} {
		if got := outside(c.addresses, c.lease); got != c.want {
			t.Errorf("%v, lease %s: got %q, want %q", c.addresses, c.lease, got, c.want)
		}
	}
}

// Every machine has lo, which has an address outside of any lease.
func TestFailureNamesTheBridgeOfAnEarlierLease(t *testing.T) {
	r := newRuntime(t)
	r.delegate("bridge", `echo '{"code":999,"msg":"already has an IP address"}'; exit 1`)
	loopback, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Fatal(err)
	}
	r.refused("ADD", r.conf(`"delegate":{"bridge":"`+loopback.Name+`"}`), 999,
		"bridge: already has an IP address; "+loopback.Name+" has 127.", "lease is 10.244.7.0/24", "ip link delete")
}
