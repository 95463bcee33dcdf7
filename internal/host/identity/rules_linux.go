// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"flanneld/internal/host/nft"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/rtnl"
)

// markPriority is that of the chain that marks: after pathrules has marked what
// members sent directly (-310), and before iptables' raw table and Docker's
// chain (-300).
const markPriority = -305

// Names of sets.
const (
	setDevices = "overlay-devices" // only overlay packets pass by them
	setOutside = "outside"         // bridges that lead to other hosts
)

// multicast is not masqueraded: an answer would not find its way back.
var multicast = netip.MustParsePrefix("224.0.0.0/4")

// content is the table. marks: dockerd looks for the mark. outside are bridges
// that lead to other hosts, beside the underlay device.
func (c Config) content(marks bool, outside []string) nft.Content {
	names := func(set string, names []string) nft.Set {
		return nft.Set{Name: set, Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: nft.NameKeys(names)}
	}
	want := nft.Content{Sets: []nft.Set{names(setDevices, c.devices())}}
	rules := c.keepRules()
	if c.Masquerade {
		rules = slices.Concat(rules, c.masqueradeRules(), c.enterRules(nil))
	} else {
		want.Sets = append(want.Sets, names(setOutside, append(outside, c.Underlay)))
		rules = append(rules, c.enterRules(byContainers())...)
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

// masqueradeRules are those of --ip-masq for what leaves the network.
func (c Config) masqueradeRules() [][]expr.Any {
	from, to := nft.Source(nft.Reg), nft.Dest(nft.Reg)
	return [][]expr.Any{
		nft.Join(from, nft.Within(c.Lease), to, nft.Within(multicast), nft.Return()),
		nft.Join(from, nft.Within(c.Lease), to, nft.Outside(c.Network), nft.Masquerade()),
	}
}

// enterRules are for what comes from this host's other networks into the
// overlay, where more matches. Such a source would be refused on the way out;
// as LEASE.0 it is not. The address is given, and not the device's: by a direct
// path the device has one that is not of the overlay, and a connection that
// changes its path keeps it, where the kernel ends one that is masqueraded by
// another device.
func (c Config) enterRules(more []expr.Any) [][]expr.Any {
	from, to := nft.Source(nft.Reg), nft.Dest(nft.Reg)
	host := nft.SetSource(c.Lease.Addr().AsSlice())
	rules := [][]expr.Any{nft.Join(from, nft.Outside(c.Network), nft.Meta(expr.MetaKeyOIFNAME), nft.In(setDevices), more, host)}
	if c.Direct != "" {
		rules = append(rules, nft.Join(from, nft.Outside(c.Network), to, nft.Within(c.Network), nft.OutputDevice(c.Direct), more, host))
	}
	return rules
}

// byContainers matches what came by a bridge of containers. Docker and others
// masquerade that, by whichever device it leaves. Linux 5.7 and newer know here
// by which device a packet came; before, nothing matches.
func byContainers() []expr.Any {
	return nft.Join(nft.Meta(nft.MetaIIFKind), nft.Equal([]byte(nft.NameKey(rtnl.Bridge))), nft.Meta(expr.MetaKeyIIFNAME), nft.NotIn(setOutside))
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
