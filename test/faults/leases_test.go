// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

const (
	// ready is how long a daemon may take to be ready on a busy machine.
	ready = 20 * time.Second
	// healed is how long tables may differ after a fault.
	healed = 40 * time.Second
)

// at makes an address and a port.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// leases maps each host to its lease before a fault.
type leases map[*lab.Host]netip.Prefix

func leasesOf(hosts []*lab.Host) leases {
	l := leases{}
	for _, h := range hosts {
		l[h] = h.Lease()
	}
	return l
}

// unchanged fails the test unless every host has the lease it had, and no other
// host has it too. It checks the host's own files and the tables of all these
// hosts.
func (l leases) unchanged(t *testing.T, observers []*lab.Host) {
	t.Helper()
	for h, lease := range l {
		if now := h.Lease(); now != lease {
			t.Errorf("%s has %v, it had %v", h.NodeName, now, lease)
		}
		if h.Daemon.Ended() {
			t.Errorf("the daemon of %s ended", h.NodeName)
		}
	}
	for _, o := range observers {
		nodes, err := o.Table()
		if err != nil {
			t.Error(err)
			continue
		}
		for h, lease := range l {
			if got := nodes.Find(h.NodeName).Subnet; got != lease.String() {
				t.Errorf("%s thinks that %s has %q, it has %v", o.NodeName, h.NodeName, got, lease)
			}
		}
	}
	different(t, observers)
}

// different fails the test if two hosts have one subnet.
func different(t *testing.T, hosts []*lab.Host) {
	t.Helper()
	holder := map[string]string{}
	for _, h := range hosts {
		subnet := h.SubnetFile()["FLANNEL_SUBNET"]
		if other, taken := holder[subnet]; taken && subnet != "" {
			t.Errorf("%s and %s both have %s", other, h.NodeName, subnet)
		}
		holder[subnet] = h.NodeName
	}
}
