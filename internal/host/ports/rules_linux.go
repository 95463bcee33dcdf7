// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"flanneld/internal/host/nft"
	"flanneld/internal/packet"
)

// priority of the base chains: after destination NAT (-100), before iptables'
// filter (0), so that its counters do not count what is dropped here.
const priority = -10

// content is the table for a configuration.
func (c Config) content(check nft.SourceCheck) nft.Content {
	keys := c.contents()
	concat := nftables.MustConcatSetType
	return nft.Content{
		Sets: []nft.Set{
			{Name: setData, Key: concat(nftables.TypeIPAddr, nftables.TypeInetService), Order: binaryutil.BigEndian, Keys: keys[setData]},
			{Name: setGossip, Key: concat(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
				Order: binaryutil.BigEndian, Keys: keys[setGossip]},
			{Name: setMembers, Key: nftables.TypeIPAddr, Order: binaryutil.BigEndian, Keys: keys[setMembers]},
			{Name: setUnderlay, Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: keys[setUnderlay]},
			{Name: setKinds, Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: keys[setKinds]},
		},
		Chains: c.chains(check),
	}
}

// chains returns what the table holds. Chains that are jumped to come first.
func (c Config) chains(check nft.SourceCheck) []nft.Chain {
	fromMember := func() [][]expr.Any {
		if check == nft.Nowhere {
			return nil
		}
		return [][]expr.Any{nft.Join(nft.Source(nft.Reg), nft.In(setMembers), nft.ReachedByInput(true), nft.Accept())}
	}
	chains := []nft.Chain{
		{Name: "data-forward", Rules: append(fromMember(), nft.Drop())},
		{Name: "container", Rules: slices.Concat(
			[][]expr.Any{byUnderlay(), fromItself()},
			fromMember(),
			[][]expr.Any{
				nft.Join(nft.InputDevice(c.Device), nft.Drop()),
				nft.Join(nft.Meta(nft.MetaIIFKind), nft.In(setKinds), nft.Drop()),
			})},
	}
	chains = append(chains, nft.Chain{Name: "users", Rules: c.userRules()})
	chains = append(chains, c.incoming(check)...)
	return append(chains, base("output", nftables.ChainHookOutput, slices.Concat(c.toData("users"), c.toGossip("users"))...))
}

// byUnderlay lets pass what comes by a device that leads to other hosts.
func byUnderlay() []expr.Any {
	return nft.Join(nft.Meta(expr.MetaKeyIIFNAME), nft.In(setUnderlay), nft.Accept())
}

func base(name string, hook *nftables.ChainHook, rules ...[]expr.Any) nft.Chain {
	return nft.Chain{Name: name, Hook: hook, Priority: priority, Rules: rules}
}

// fromItself lets pass what this host sends to itself.
func fromItself() []expr.Any { return nft.Join(nft.InputDevice("lo"), nft.Accept()) }

// incoming returns the base chains for packets of other hosts and of
// containers. A packet in prerouting is not routed yet, so the kind of its
// destination decides which of the two it would pass.
func (c Config) incoming(check nft.SourceCheck) []nft.Chain {
	if check == nft.InPrerouting {
		return []nft.Chain{base("prerouting", nftables.ChainHookPrerouting, slices.Concat(
			c.toData("container", nft.ToThisHost(true)),
			c.toData("data-forward", nft.ToThisHost(false)),
			c.toGossip("container"))...)}
	}
	return []nft.Chain{
		base("forward", nftables.ChainHookForward, slices.Concat(c.toData("data-forward"), c.toGossip("container"))...),
		base("input", nftables.ChainHookInput, slices.Concat(c.toData("container"), c.toGossip("container"))...),
	}
}

// userRules: a packet without a socket has no user, so what may send is listed
// rather than what may not. The kernel itself sends parts of a connection after
// its socket was closed; hence only the first packet of a connection is looked
// at.
func (c Config) userRules() [][]expr.Any {
	rules := [][]expr.Any{nft.Join(nft.User(0), nft.Accept())}
	if c.UID != 0 {
		rules = append(rules, nft.Join(nft.User(c.UID), nft.Accept()))
	}
	return append(rules,
		nft.Join(nft.Protocol(packet.UDP), nft.Drop()),
		nft.Join(nft.Protocol(packet.TCP), beginsConnection(), nft.Drop()),
	)
}

// toData jumps with UDP to an address and port in the set of data ports.
func (c Config) toData(chain string, more ...[]expr.Any) (rules [][]expr.Any) {
	var ports []string
	for _, m := range c.Members {
		if m.Data != 0 {
			ports = append(ports, string(nft.Port(m.Data)))
		}
	}
	for _, toPort := range nft.ToPorts(ports) {
		rules = append(rules, nft.Join(nft.Protocol(packet.UDP), toPort, nft.Dest(nft.Reg), nft.DestPort(nft.Reg1), nft.In(setData),
			nft.Join(more...), nft.Jump(chain)))
	}
	return rules
}

// toGossip jumps with UDP and TCP to an address and port in the set of gossip
// ports.
func (c Config) toGossip(chain string) (rules [][]expr.Any) {
	var ports []string
	for _, m := range c.Members {
		if m.Gossip != 0 {
			ports = append(ports, string(nft.Port(m.Gossip)))
		}
	}
	for _, toPort := range nft.ToPorts(ports) {
		rules = append(rules, nft.Join(toPort, nft.Dest(nft.Reg), []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: nft.Reg1}},
			nft.DestPort(nft.Reg2), nft.In(setGossip), nft.Jump(chain)))
	}
	return rules
}

// offsetFlags is where TCP has its flags, in bytes (RFC 9293).
const offsetFlags = 13

// beginsConnection matches SYN without ACK, FIN and RST.
func beginsConnection() []expr.Any {
	const fin, syn, rst, ack = 1, 2, 4, 16
	return nft.Join(nft.Load(expr.PayloadBaseTransportHeader, offsetFlags, 1, nft.Reg),
		nft.Masked(nft.Reg, []byte{fin | syn | rst | ack}, []byte{0}), nft.Equal([]byte{syn}))
}
