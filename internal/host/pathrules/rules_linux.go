// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/nftable"
	"flanneld/internal/host/rtnl"
)

// 32-bit registers. Register 1 is the first four registers; a concatenated key
// takes consecutive ones (linux/netfilter/nf_tables.h).
const (
	reg   = 1
	reg01 = 9
	reg02 = 10
)

// priority of the base chains: before iptables' raw table (-300).
const priority = -310

// metaIIFKind is NFT_META_IIFKIND (Linux 5.1), which the library has no name
// for: the kind of the input device, as `ip -d link` shows it.
const metaIIFKind expr.MetaKey = 26

// Names of the sets that are not a path's.
const (
	setKinds   = "kinds"         // of devices that containers are attached to
	setMembers = "members"       // addresses of peers
	setVXLAN   = "vxlan-members" // addresses and ports of their VXLAN devices
	setIPIP    = "ipip-members"  // addresses of peers with IPIP
)

// refused is the counter of what is dropped on a path. Names of the chains that
// are jumped to are those of the paths.
func refused(path string) string { return path + "-refused" }

// content is the table for a configuration and its peers. uid may send to
// tunnels. fib: the kernel can look up by which device a source is reached.
func (c Config) content(peers []Peer, uid uint32, fib bool) nftable.Content {
	want := nftable.Content{Sets: c.memberSets(peers)}
	if c.tunnels() {
		want.Counters = []string{refused(Sent)}
		want.Chains = []nftable.Chain{{Name: Sent, Rules: sentRules(fib)}}
	}
	elements := c.contents(peers)
	ids := slices.SortedFunc(maps.Keys(elements), func(a, b setID) int {
		return cmp.Or(cmp.Compare(slices.Index(paths, a.path), slices.Index(paths, b.path)), -cmp.Compare(a.bits, b.bits))
	})
	for _, id := range ids {
		set := nftable.Set{
			Name: id.name(), Key: keyOf(id.path), Order: binaryutil.BigEndian, Counted: true, Keys: map[string]bool{},
		}
		for key := range elements[id] {
			set.Keys[key] = true
		}
		want.Sets = append(want.Sets, set)
	}
	for _, path := range paths {
		if c.uses(path) {
			want.Counters = append(want.Counters, refused(path))
			want.Chains = append(want.Chains, nftable.Chain{Name: path, Rules: c.pathRules(path, ids, fib)})
		}
	}
	want.Chains = append(want.Chains, c.incoming()...)
	want.Chains = append(want.Chains, c.outgoing(uid)...)
	return want
}

// memberSets are the sets that do not depend on prefixes.
func (c Config) memberSets(peers []Peer) []nftable.Set {
	if !c.tunnels() {
		return nil
	}
	members, vxlan, ipip, kinds := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, kind := range rtnl.ContainerKinds {
		kinds[nftable.NameKey(kind)] = true
	}
	for _, p := range peers {
		members[addrKey(p.Endpoint)] = true
		if c.VXLAN && p.VXLAN && p.Port != 0 {
			vxlan[addrKey(p.Endpoint)+string([]byte{byte(p.Port >> 8), byte(p.Port), 0, 0})] = true
		}
		if c.IPIP && p.IPIP {
			ipip[addrKey(p.Endpoint)] = true
		}
	}
	sets := []nftable.Set{
		{Name: setKinds, Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: kinds},
		{Name: setMembers, Key: nftables.TypeIPAddr, Order: binaryutil.BigEndian, Keys: members},
	}
	if c.VXLAN {
		sets = append(sets, nftable.Set{Name: setVXLAN, Key: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
			Order: binaryutil.BigEndian, Keys: vxlan})
	}
	if c.IPIP {
		sets = append(sets, nftable.Set{Name: setIPIP, Key: nftables.TypeIPAddr, Order: binaryutil.BigEndian, Keys: ipip})
	}
	return sets
}

func (c Config) tunnels() bool { return c.VXLAN || c.IPIP }

func (c Config) uses(path string) bool {
	return map[string]bool{VXLAN: c.VXLAN, IPIP: c.IPIP, Direct: c.Direct}[path]
}

// keyOf is the type of the keys of a path's sets.
func keyOf(path string) nftables.SetDatatype {
	if path == Direct {
		return nftables.MustConcatSetType(nftables.TypeEtherAddr, nftables.TypeIPAddr)
	}
	return nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)
}

// incoming returns the chains that see what arrives. A path that is not in use
// has no rule.
func (c Config) incoming() (chains []nftable.Chain) {
	var input, prerouting [][]expr.Any
	if c.VXLAN {
		input = append(input, join(protocol(unix.IPPROTO_UDP), dport(c.VXLANPort), jump(VXLAN)))
	}
	if c.IPIP {
		input = append(input, join(protocol(unix.IPPROTO_IPIP), daddr(c.Local), jump(IPIP)))
		// What other programs' tunnels carry passes the rules of IPIP. If it
		// came by our device all the same, it is dropped here.
		prerouting = append(prerouting, join(iifname(c.IPIPDevice), saddr(reg), outside(c.Network), drop(IPIP)))
	}
	if c.Direct {
		prerouting = append(prerouting, join(iifname(c.Underlay), saddr(reg), within(c.Network), jump(Direct)))
	}
	if len(prerouting) > 0 {
		chains = append(chains, nftable.Chain{Name: "prerouting", Hook: nftables.ChainHookPrerouting, Priority: priority, Rules: prerouting})
	}
	if len(input) > 0 {
		chains = append(chains, nftable.Chain{Name: "input", Hook: nftables.ChainHookInput, Priority: priority, Rules: input})
	}
	return chains
}

// outgoing returns the chains that see what leaves this host. The packets of
// our VXLAN device have no socket, or the one of the inner packet: so they are
// known by the mark that the inner packet got on its way to the device.
func (c Config) outgoing(uid uint32) []nftable.Chain {
	if !c.tunnels() {
		return nil
	}
	var chains []nftable.Chain
	var forward [][]expr.Any
	if c.VXLAN {
		forward = append(forward, join(toVXLAN(), jump(Sent)))
		chains = append(chains,
			nftable.Chain{Name: "users", Rules: userRules(uid)},
			nftable.Chain{Name: "output", Hook: nftables.ChainHookOutput, Priority: priority,
				Rules: [][]expr.Any{join(toVXLAN(), jump("users"))}},
			nftable.Chain{Name: "postrouting", Hook: nftables.ChainHookPostrouting, Priority: priority,
				Rules: [][]expr.Any{join(oifname(c.VXLANDevice), mark())}})
	}
	if c.IPIP {
		toIPIP := join(protocol(unix.IPPROTO_IPIP), load(expr.PayloadBaseNetworkHeader, offsetDaddr, 4, reg), in(setIPIP))
		forward = append(forward, join(toIPIP, jump(Sent)))
	}
	return append(chains, nftable.Chain{Name: "forward", Hook: nftables.ChainHookForward, Priority: priority, Rules: forward})
}

// userRules are for what this host itself sends to the VXLAN device of a
// member.
func userRules(uid uint32) [][]expr.Any {
	rules := [][]expr.Any{join(marked(), accept()), join(skuid(0), accept())}
	if uid != 0 {
		rules = append(rules, join(skuid(uid), accept()))
	}
	return append(rules, drop(Sent))
}

// sentRules are for what is forwarded to a tunnel of a member. This host may be
// a router between members.
func sentRules(fib bool) (rules [][]expr.Any) {
	if fib {
		rules = append(rules, join(saddr(reg), in(setMembers), reachedByInput(true), accept()))
	}
	return append(rules, drop(Sent))
}

// byContainer matches what came by a container's device. The underlay device
// may be of such a kind, and so may one by which the source is reached.
func (c Config) byContainer(fib bool) []expr.Any {
	others := join(meta(expr.MetaKeyIIFNAME), []expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: []byte(nftable.NameKey(c.Underlay))}},
		meta(metaIIFKind), in(setKinds))
	if fib {
		others = append(others, reachedByInput(false)...)
	}
	return others
}

// reachedByInput compares whether the host's own routing leads to the source by
// the device that the packet came by.
func reachedByInput(is bool) []expr.Any {
	op := expr.CmpOpEq
	if is {
		op = expr.CmpOpNeq
	}
	return []expr.Any{
		&expr.Fib{Register: reg, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		&expr.Cmp{Op: op, Register: reg, Data: []byte{0, 0, 0, 0}},
	}
}

// toVXLAN matches UDP to a member's VXLAN device.
func toVXLAN() []expr.Any {
	return join(protocol(unix.IPPROTO_UDP), load(expr.PayloadBaseNetworkHeader, offsetDaddr, 4, reg),
		load(expr.PayloadBaseTransportHeader, offsetDport, 2, reg01), in(setVXLAN))
}

// skuid matches the user that opened the sending socket.
func skuid(uid uint32) []expr.Any {
	return join(meta(expr.MetaKeySKUID), equal(binaryutil.NativeEndian.PutUint32(uid)))
}

// pathRules lets pass what is in one of the path's sets, and what is not for
// our device. No rule with a protocol looks into what follows its header: nft
// 1.0.6 cannot list such a rule of IPIP.
func (c Config) pathRules(path string, ids []setID, fib bool) (rules [][]expr.Any) {
	switch path {
	case VXLAN:
		rules = append(rules, join(notVNI(c.VNI), accept()), join(c.byContainer(fib), drop(path)), join(noIPv4InVXLAN(), drop(path)))
	case IPIP:
		rules = append(rules, join(innerOfIPIP(), outside(c.Network), accept()), join(c.byContainer(fib), drop(path)))
	}
	for _, id := range ids {
		if id.path != path {
			continue
		}
		switch path {
		case VXLAN:
			rules = append(rules, join(saddr(reg), innerOfVXLAN(), masked(reg01, id.bits), in(id.name()), accept()))
		case IPIP:
			rules = append(rules, join(saddr(reg), load(expr.PayloadBaseTransportHeader, offsetSaddr, 4, reg01), masked(reg01, id.bits), in(id.name()), accept()))
		case Direct:
			rules = append(rules, join(etherSaddr(), saddr(reg02), masked(reg02, id.bits), in(id.name()), mark(), accept()))
		}
	}
	return append(rules, drop(path))
}

func join(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: reg}} }

func equal(value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: value}}
}

func load(base expr.PayloadBase, offset, length, register uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}}
}

func iifname(name string) []expr.Any {
	return join(meta(expr.MetaKeyIIFNAME), equal([]byte(nftable.NameKey(name))))
}

func oifname(name string) []expr.Any {
	return join(meta(expr.MetaKeyOIFNAME), equal([]byte(nftable.NameKey(name))))
}

func protocol(proto byte) []expr.Any { return join(meta(expr.MetaKeyL4PROTO), equal([]byte{proto})) }

// Offsets in headers, in bytes (RFC 791, 768, 7348, and IEEE 802.3).
const (
	offsetSaddr   = 12
	offsetDaddr   = 16
	offsetDport   = 2
	offsetMAC     = 6
	offsetType    = 12
	udpLen        = 8
	offsetVNI     = udpLen + 4
	offsetInner   = udpLen + 8 // the inner Ethernet header
	etherLen      = 14
	etherTypeIPv4 = 0x0800
)

func saddr(register uint32) []expr.Any {
	return load(expr.PayloadBaseNetworkHeader, offsetSaddr, 4, register)
}

func daddr(a netip.Addr) []expr.Any {
	return join(load(expr.PayloadBaseNetworkHeader, offsetDaddr, 4, reg), equal(a.AsSlice()))
}

func dport(port uint16) []expr.Any {
	return join(load(expr.PayloadBaseTransportHeader, offsetDport, 2, reg), equal(binary.BigEndian.AppendUint16(nil, port)))
}

// notVNI matches another network identifier: of a device that shares the port.
func notVNI(vni uint32) []expr.Any {
	return join(load(expr.PayloadBaseTransportHeader, offsetVNI, 3, reg),
		[]expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: []byte{byte(vni >> 16), byte(vni >> 8), byte(vni)}}})
}

// noIPv4InVXLAN matches where the inner packet is something else: it would be
// let in without a source that could be looked up.
func noIPv4InVXLAN() []expr.Any {
	return join(load(expr.PayloadBaseTransportHeader, offsetInner+offsetType, 2, reg),
		[]expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: binary.BigEndian.AppendUint16(nil, etherTypeIPv4)}})
}

// innerOfVXLAN loads the inner source. Offsets count from the outer UDP header:
// the outer IPv4 header may have options.
func innerOfVXLAN() []expr.Any {
	return load(expr.PayloadBaseTransportHeader, offsetInner+etherLen+offsetSaddr, 4, reg01)
}

// innerOfIPIP loads the inner source; the inner packet is the outer one's
// payload.
func innerOfIPIP() []expr.Any {
	return load(expr.PayloadBaseTransportHeader, offsetSaddr, 4, reg)
}

func etherSaddr() []expr.Any {
	return load(expr.PayloadBaseLLHeader, offsetMAC, macLen, reg)
}

// masked keeps the first bits of an address.
func masked(register uint32, bits int) []expr.Any {
	return []expr.Any{&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: netmask(bits), Xor: make([]byte, 4)}}
}

func netmask(bits int) []byte {
	return binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-bits))
}

// within and outside compare an address in the first register with a network.
func within(n netip.Prefix) []expr.Any {
	return join(masked(reg, n.Bits()), equal(n.Addr().AsSlice()))
}

func outside(n netip.Prefix) []expr.Any {
	return join(masked(reg, n.Bits()), []expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: n.Addr().AsSlice()}})
}

func in(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: reg, SetName: set}}
}

// mark sets the bit Mark and leaves the others.
func mark() []expr.Any {
	return join(meta(expr.MetaKeyMARK), []expr.Any{
		&expr.Bitwise{
			SourceRegister: reg, DestRegister: reg, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^uint32(Mark)), Xor: binaryutil.NativeEndian.PutUint32(Mark),
		},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg},
	})
}

// marked matches where the bit Mark is set.
func marked() []expr.Any {
	return join(meta(expr.MetaKeyMARK), []expr.Any{
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(Mark), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: make([]byte, 4)},
	})
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// drop counts what it drops under the path's name.
func drop(path string) []expr.Any {
	return []expr.Any{
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: refused(path)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}
