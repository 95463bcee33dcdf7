// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// metaIIFKind is NFT_META_IIFKIND (Linux 5.1), which the library has no name
// for: the kind of the input device, as `ip -d link` shows it.
const metaIIFKind expr.MetaKey = 26

// 32-bit registers. Register 1 is the first four registers; a concatenated key
// takes consecutive ones (linux/netfilter/nf_tables.h).
const (
	reg   = 1
	reg01 = 9
	reg02 = 10
)

// priority of the base chains: after destination NAT (-100), before iptables'
// filter (0), so that its counters do not count what is dropped here.
const priority = -10

// chainSpec is a chain and its rules.
type chainSpec struct {
	name  string
	hook  *nftables.ChainHook // nil: jumped to
	rules [][]expr.Any
}

// sourceCheck is where the kernel can compare the device that a packet came by
// with the route to the packet's source (nft_fib_ipv4).
type sourceCheck int

// What kernels can do, the best last.
const (
	nowhere      sourceCheck = iota // without nft_fib_ipv4
	inPrerouting                    // kernels such as 5.10 refuse it in other hooks
	inAnyHook
)

// chains returns what the table holds. Chains that are jumped to come first.
func chains(c Config, check sourceCheck, sets map[string]*nftables.Set) []chainSpec {
	fromMember := func() [][]expr.Any {
		if check == nowhere {
			return nil
		}
		return [][]expr.Any{join(saddr(), in(sets[setMembers]), reachedByInput(), accept())}
	}
	specs := []chainSpec{
		{name: "data-forward", rules: append(fromMember(), drop())},
		{name: "container", rules: slices.Concat(
			[][]expr.Any{join(iifname(), in(sets[setUnderlay]), accept())},
			fromMember(),
			[][]expr.Any{
				join(iifname(), equal([]byte(nameKey(c.Device))), drop()),
				join(meta(metaIIFKind), in(sets[setKinds]), drop()),
			})},
	}
	specs = append(specs, incoming(check, sets)...)
	return append(specs, chainSpec{name: "output", hook: nftables.ChainHookOutput, rules: outputRules(c, sets)})
}

// incoming returns the base chains for packets of other hosts and of
// containers. A packet in prerouting is not routed yet, so the kind of its
// destination decides which of the two it would pass.
func incoming(check sourceCheck, sets map[string]*nftables.Set) []chainSpec {
	fromItself := join(iifname(), equal([]byte(nameKey("lo"))), accept())
	if check == inPrerouting {
		return []chainSpec{{name: "prerouting", hook: nftables.ChainHookPrerouting, rules: [][]expr.Any{
			fromItself,
			join(toData(sets), toThisHost(expr.CmpOpEq), jump("container")),
			join(toData(sets), toThisHost(expr.CmpOpNeq), jump("data-forward")),
			join(toGossip(sets), jump("container")),
		}}}
	}
	return []chainSpec{
		{name: "forward", hook: nftables.ChainHookForward, rules: [][]expr.Any{
			join(toData(sets), jump("data-forward")),
			join(toGossip(sets), jump("container")),
		}},
		{name: "input", hook: nftables.ChainHookInput, rules: [][]expr.Any{
			join(iifname(), in(sets[setUnderlay]), accept()),
			fromItself,
			join(toData(sets), jump("container")),
			join(toGossip(sets), jump("container")),
		}},
	}
}

// outputRules: a packet without a socket has no user, so what may send is
// listed rather than what may not. The kernel itself sends parts of a
// connection after its socket was closed; hence only the first packet of a
// connection is looked at.
func outputRules(c Config, sets map[string]*nftables.Set) [][]expr.Any {
	rules := [][]expr.Any{join(skuid(0), accept())}
	if c.UID != 0 {
		rules = append(rules, join(skuid(c.UID), accept()))
	}
	return append(rules,
		join(toData(sets), drop()),
		join(protocol(packet.UDP), toGossip(sets), drop()),
		join(protocol(packet.TCP), beginsConnection(), toGossip(sets), drop()),
	)
}

func join(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: reg}} }

func iifname() []expr.Any { return meta(expr.MetaKeyIIFNAME) }

func equal(value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: value}}
}

func in(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: reg, SetName: s.Name, SetID: s.ID}}
}

func protocol(proto byte) []expr.Any { return join(meta(expr.MetaKeyL4PROTO), equal([]byte{proto})) }

// skuid matches the user that opened the sending socket.
func skuid(uid uint32) []expr.Any {
	return join(meta(expr.MetaKeySKUID), equal(binaryutil.NativeEndian.PutUint32(uid)))
}

// Offsets in the IPv4 and in the UDP and TCP headers (RFC 791, 768, 9293).
const (
	offsetSaddr = 12
	offsetDaddr = 16
	offsetDport = 2
	offsetFlags = 13
)

func load(base expr.PayloadBase, offset, length, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
}

func saddr() []expr.Any {
	return []expr.Any{load(expr.PayloadBaseNetworkHeader, offsetSaddr, 4, reg)}
}

// reachedByInput matches where the host's own routing leads to the source by
// the device that the packet came by. So a forged source does not count.
func reachedByInput() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: []byte{0, 0, 0, 0}},
	}
}

// toThisHost compares the kind of the destination with an address of this host.
func toThisHost(op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: op, Register: reg, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// toData matches UDP to an address and port in the set of data ports.
func toData(sets map[string]*nftables.Set) []expr.Any {
	return join(protocol(packet.UDP), []expr.Any{
		load(expr.PayloadBaseNetworkHeader, offsetDaddr, 4, reg),
		load(expr.PayloadBaseTransportHeader, offsetDport, 2, reg01),
	}, in(sets[setData]))
}

// toGossip matches UDP and TCP to an address and port in the set of gossip
// ports.
func toGossip(sets map[string]*nftables.Set) []expr.Any {
	return join([]expr.Any{
		load(expr.PayloadBaseNetworkHeader, offsetDaddr, 4, reg),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg01},
		load(expr.PayloadBaseTransportHeader, offsetDport, 2, reg02),
	}, in(sets[setGossip]))
}

// beginsConnection matches SYN without ACK, FIN and RST.
func beginsConnection() []expr.Any {
	const fin, syn, rst, ack = 1, 2, 4, 16
	return []expr.Any{
		load(expr.PayloadBaseTransportHeader, offsetFlags, 1, reg),
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 1, Mask: []byte{fin | syn | rst | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{syn}},
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// drop counts what it drops, for `nft list table ip flanneld-DEVICE`.
func drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// setsOf makes the table's sets, without elements.
func setsOf(t *nftables.Table) map[string]*nftables.Set {
	concat := func(types ...nftables.SetDatatype) nftables.SetDatatype {
		return nftables.MustConcatSetType(types...)
	}
	return map[string]*nftables.Set{
		setData: {Table: t, Name: setData, KeyType: concat(nftables.TypeIPAddr, nftables.TypeInetService), KeyByteOrder: binaryutil.BigEndian},
		setGossip: {Table: t, Name: setGossip, KeyType: concat(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
			KeyByteOrder: binaryutil.BigEndian},
		setMembers:  {Table: t, Name: setMembers, KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian},
		setUnderlay: {Table: t, Name: setUnderlay, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian},
		setKinds:    {Table: t, Name: setKinds, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian},
	}
}
