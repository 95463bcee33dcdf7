// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"net/netip"
	"testing"

	"flanneld/internal/host/underlay"
)

// at makes a place on the underlay; zero without an address.
func at(addr string) underlay.Underlay {
	if addr == "" {
		return underlay.Underlay{}
	}
	a := netip.MustParseAddr(addr)
	return underlay.Underlay{Interface: "eth0", Addr: a, PublicAddr: a, MTU: 1500}
}

func TestAnAddressIsLeftOnlyForABetterOne(t *testing.T) {
	const a, b, linkLocal = "192.168.1.1", "192.168.2.1", "169.254.3.3"
	elsewhere := at(b)
	elsewhere.Index = 9
	for name, c := range map[string]struct {
		s    situation
		want verdict
	}{
		"nothing has changed":                  {situation{choice: at(a), held: true, members: true}, stay},
		"another choice, members answer":       {situation{choice: at(b), held: true, stood: true, members: true}, linger},
		"another choice, no members":           {situation{choice: at(b), held: true, stood: true}, linger},
		"another choice, for a moment":         {situation{choice: at(b), held: true, members: true}, stay},
		"nothing to choose":                    {situation{held: true, members: true}, stay},
		"address lost":                         {situation{choice: at(b), members: true}, move},
		"address lost, nothing to choose":      {situation{members: true}, stay},
		"address lost, another link's":         {situation{choice: elsewhere, members: true}, stay},
		"address lost, another link's stands":  {situation{choice: elsewhere, members: true, stood: true}, move},
		"address lost, link-local instead":     {situation{choice: at(linkLocal), members: true}, examine},
		"link-local appears":                   {situation{choice: at(linkLocal), held: true, stood: true, members: true}, linger},
		"no member answers":                    {situation{choice: at(a), held: true, members: true, silent: true}, examine},
		"no member answers, another choice":    {situation{choice: at(b), held: true, stood: true, members: true, silent: true}, examine},
		"no member answers, nothing to choose": {situation{held: true, members: true, silent: true}, examine},
		"home is back":                         {situation{choice: at(b), home: at(b), held: true, stood: true, members: true}, examine},
		"home is back, for a moment":           {situation{choice: at(b), home: at(b), held: true, members: true}, stay},
		"home is back, no members":             {situation{choice: at(b), home: at(b), held: true, stood: true}, goHome},
		"home is back, address lost":           {situation{choice: at(b), home: at(b), members: true}, move},
	} {
		c.s.here = at(a)
		if got := decide(c.s); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if got := decide(situation{choice: at("169.254.9.9"), here: at(linkLocal)}); got != move {
		t.Errorf("from link-local to link-local: got %d", got)
	}
}
