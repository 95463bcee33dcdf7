// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"flanneld/internal/host/nft"
	"flanneld/internal/host/pathrules"
)

// markPriority is that of the chain that marks: after pathrules has marked what
// members sent directly (-310), and before iptables' raw table and Docker's
// chain (-300).
const markPriority = -305

// setDevices is the set of devices that only overlay packets pass by.
const setDevices = "overlay-devices"

// multicast is not masqueraded: an answer would not find its way back.
var multicast = netip.MustParsePrefix("224.0.0.0/4")

// content is the table. marks: dockerd looks for the mark.
func (c Config) content(marks bool) nft.Content {
	var want nft.Content
	if c.Masquerade || marks {
		want.Sets = []nft.Set{{
			Name: setDevices, Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: nft.NameKeys(c.devices()),
		}}
	}
	rules := c.keepRules()
	if c.Masquerade {
		rules = append(rules, c.masqueradeRules()...)
	}
	want.Chains = append(want.Chains, nft.Chain{
		Name: "postrouting", NAT: true, Hook: nftables.ChainHookPostrouting, Priority: Priority, Rules: rules,
	})
	if marks {
		want.Chains = append(want.Chains, nft.Chain{
			Name: "prerouting", Hook: nftables.ChainHookPrerouting, Priority: markPriority, Rules: c.markRules(),
		})
	}
	return want
}

// keepRules keep the source both ways: a program of this host may masquerade
// what it sends to containers, too.
func (c Config) keepRules() [][]expr.Any {
	from, to := nft.Source(nft.Reg), nft.Dest(nft.Reg)
	return [][]expr.Any{
		nft.Join(from, nft.Within(c.Lease), to, nft.Within(c.Network), to, nft.Outside(c.Lease), nft.KeepSource()),
		nft.Join(to, nft.Within(c.Lease), from, nft.Within(c.Network), from, nft.Outside(c.Lease), nft.KeepSource()),
	}
}

// masqueradeRules are those of --ip-masq. From this host's other networks into
// the overlay, such a source would be refused on the way out; as LEASE.0 it is
// not. The address is given, and not the device's: a connection that changes
// its path keeps it, where the kernel ends one that is masqueraded by another
// device.
func (c Config) masqueradeRules() [][]expr.Any {
	from, to := nft.Source(nft.Reg), nft.Dest(nft.Reg)
	host := nft.SetSource(c.Lease.Addr().AsSlice())
	rules := [][]expr.Any{
		nft.Join(from, nft.Within(c.Lease), to, nft.Within(multicast), nft.Return()),
		nft.Join(from, nft.Within(c.Lease), to, nft.Outside(c.Network), nft.Masquerade()),
		nft.Join(from, nft.Outside(c.Network), nft.Meta(expr.MetaKeyOIFNAME), nft.In(setDevices), host),
	}
	if c.Direct != "" {
		rules = append(rules, nft.Join(from, nft.Outside(c.Network), to, nft.Within(c.Network), nft.OutputDevice(c.Direct), host))
	}
	return rules
}

// markRules mark what comes from the overlay to the lease. What comes directly
// counts only where package pathrules has found that a member sent it. The
// destination comes first: most packets end there.
func (c Config) markRules() [][]expr.Any {
	overlay := nft.Join(nft.Dest(nft.Reg), nft.Within(c.Lease), nft.Source(nft.Reg), nft.Within(c.Network))
	rules := [][]expr.Any{nft.Join(overlay, nft.Meta(expr.MetaKeyIIFNAME), nft.In(setDevices), nft.SetMark(Mark))}
	if c.Direct != "" {
		rules = append(rules, nft.Join(overlay, nft.InputDevice(c.Direct), nft.HasMark(pathrules.Mark), nft.SetMark(Mark)))
	}
	return rules
}
