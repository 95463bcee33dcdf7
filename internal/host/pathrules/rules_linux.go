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

	"flanneld/internal/host/nft"
	"flanneld/internal/host/rtnl"
	"flanneld/internal/packet"
)

// priority of the base chains: before iptables' raw table (-300).
const priority = -310

// afterNAT is the priority of the chain that knows where a user's packet goes:
// after destination NAT (-100) and what sets marks (-150).
const afterNAT = -10

// setKinds is the set of kinds of devices that containers are attached to.
const setKinds = "kinds"

// Chains that are jumped to, beside one for each path. None has a name that is
// a word of nft's language, as vxlan is since 1.0.8.
const (
	sent  = "sent"  // what is forwarded to tunnels
	users = "users" // what users of this host send
)

// from is the chain of what arrives by a path.
func from(path string) string { return "from-" + path }

// refused is the counter of what is dropped on a path.
func refused(path string) string { return path + "-refused" }

// content is the table for a configuration and its keys. uid may send to
// tunnels. fib: the kernel can look up by which device a source is reached. If
// it cannot, a member behind a bridge of this host is not let in.
func (c Config) content(k keys, uid uint32, fib bool) nft.Content {
	want := nft.Content{Sets: c.memberSets(k)}
	if c.tunnels() {
		want.Counters = []string{refused(Sent)}
		want.Chains = []nft.Chain{{Name: sent, Rules: sentRules(fib)}}
	}
	ids := slices.SortedFunc(maps.Keys(k.senders), func(a, b setID) int {
		return cmp.Or(cmp.Compare(slices.Index(paths, a.path), slices.Index(paths, b.path)), -cmp.Compare(a.bits, b.bits))
	})
	for _, id := range ids {
		want.Sets = append(want.Sets, nft.Set{
			Name: id.name(), Key: keyOf(id.path), Order: binaryutil.BigEndian, Counted: true, Keys: k.senders[id],
		})
	}
	for _, path := range paths {
		if c.uses(path) {
			want.Counters = append(want.Counters, refused(path))
			want.Chains = append(want.Chains, nft.Chain{Name: from(path), Rules: c.pathRules(path, ids, fib)})
		}
	}
	want.Chains = append(want.Chains, c.incoming()...)
	want.Chains = append(want.Chains, c.outgoing(k.members[setVXLAN], uid)...)
	if sent := c.sending(ids); len(sent) > 0 {
		want.Chains = append(want.Chains, nft.Chain{Name: "postrouting", Hook: nftables.ChainHookPostrouting, Priority: priority, Rules: sent})
	}
	return want
}

// memberSets are the sets that do not depend on prefixes.
func (c Config) memberSets(k keys) []nft.Set {
	if !c.tunnels() {
		return nil
	}
	set := func(name string, key nftables.SetDatatype) nft.Set {
		return nft.Set{Name: name, Key: key, Order: binaryutil.BigEndian, Keys: k.members[name]}
	}
	sets := []nft.Set{
		{Name: setKinds, Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: nft.NameKeys(rtnl.ContainerKinds)},
		set(setMembers, nftables.TypeIPAddr),
	}
	if c.VXLAN {
		sets = append(sets, set(setVXLAN, nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)))
	}
	if c.IPIP {
		sets = append(sets, set(setIPIP, nftables.TypeIPAddr))
	}
	return sets
}

// keyOf is the type of the keys of a path's sets.
func keyOf(path string) nftables.SetDatatype {
	switch path {
	case Direct:
		return nftables.MustConcatSetType(nftables.TypeEtherAddr, nftables.TypeIPAddr)
	case receivers:
		return nftables.TypeIPAddr
	}
	return nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)
}

// incoming returns the chains that see what arrives. A path that is not in use
// has no rule.
func (c Config) incoming() (chains []nft.Chain) {
	var input, prerouting [][]expr.Any
	if c.VXLAN {
		input = append(input, nft.Join(nft.Protocol(packet.UDP), nft.DestPort(nft.Reg), nft.Equal(nft.Port(c.VXLANPort)), nft.Jump(from(VXLAN))))
	}
	if c.IPIP {
		input = append(input, nft.Join(nft.Protocol(unix.IPPROTO_IPIP), nft.Dest(nft.Reg), nft.Equal(c.Local.AsSlice()), nft.Jump(from(IPIP))))
		// What other programs' tunnels carry passes the rules of IPIP. If it
		// came by our device all the same, it is dropped here.
		prerouting = append(prerouting, nft.Join(nft.Source(nft.Reg), outside(c.Network), nft.InputDevice(c.IPIPDevice), drop(IPIP)))
	}
	if c.Direct {
		// The address comes first: to compare it is cheaper than the device.
		prerouting = append(prerouting, nft.Join(nft.Source(nft.Reg), within(c.Network), nft.InputDevice(c.Underlay), nft.Jump(from(Direct))))
	}
	if len(prerouting) > 0 {
		chains = append(chains, nft.Chain{Name: "prerouting", Hook: nftables.ChainHookPrerouting, Priority: priority, Rules: prerouting})
	}
	if len(input) > 0 {
		chains = append(chains, nft.Chain{Name: "input", Hook: nftables.ChainHookInput, Priority: priority, Rules: input})
	}
	return chains
}

// pathRules lets pass what is in one of the path's sets, and what is not for
// our device. No rule with a protocol looks into what follows its header: nft
// 1.0.6 cannot list such a rule of IPIP.
func (c Config) pathRules(path string, ids []setID, fib bool) (rules [][]expr.Any) {
	switch path {
	case VXLAN:
		rules = append(rules,
			nft.Join(notVNI(c.VNI), nft.Accept()), nft.Join(c.byContainer(fib), drop(path)), nft.Join(noIPv4InVXLAN(), drop(path)))
	case IPIP:
		rules = append(rules, nft.Join(innerOfIPIP(nft.Reg), outside(c.Network), nft.Accept()), nft.Join(c.byContainer(fib), drop(path)))
	}
	for _, id := range ids {
		if id.path != path {
			continue
		}
		mask := func(register uint32) []expr.Any { return nft.Masked(register, nft.Mask(id.bits), make([]byte, 4)) }
		switch path {
		case VXLAN:
			rules = append(rules, nft.Join(nft.Source(nft.Reg), innerOfVXLAN(nft.Reg1), mask(nft.Reg1), nft.In(id.name()), nft.Accept()))
		case IPIP:
			rules = append(rules, nft.Join(nft.Source(nft.Reg), innerOfIPIP(nft.Reg1), mask(nft.Reg1), nft.In(id.name()), nft.Accept()))
		case Direct:
			rules = append(rules, nft.Join(etherSource(), nft.Source(nft.Reg2), mask(nft.Reg2), nft.In(id.name()), nft.SetMark(Mark), nft.Accept()))
		}
	}
	return append(rules, drop(path))
}

// byContainer matches what came by a container's device. The underlay device
// may be of such a kind, and so may one by which the source is reached.
func (c Config) byContainer(fib bool) []expr.Any {
	rule := nft.Join(nft.Meta(expr.MetaKeyIIFNAME), nft.NotEqual([]byte(nft.NameKey(c.Underlay))), nft.Meta(nft.MetaIIFKind), nft.In(setKinds))
	if fib {
		rule = append(rule, nft.ReachedByInput(false)...)
	}
	return rule
}

// outgoing returns the chains that see what leaves this host.
func (c Config) outgoing(members map[string]bool, uid uint32) (chains []nft.Chain) {
	if !c.tunnels() {
		return nil
	}
	var forward [][]expr.Any
	for _, toPort := range nft.ToPorts(portsOf(members)) {
		forward = append(forward, nft.Join(nft.Protocol(packet.UDP), toPort, toVXLAN(), nft.Jump(sent)))
	}
	if c.IPIP {
		forward = append(forward, nft.Join(nft.Protocol(unix.IPPROTO_IPIP), nft.Dest(nft.Reg), nft.In(setIPIP), nft.Jump(sent)))
	}
	if c.VXLAN {
		chains = append(chains,
			nft.Chain{Name: users, Rules: c.userRules(uid)},
			nft.Chain{Name: "output", Hook: nftables.ChainHookOutput, Priority: afterNAT,
				Rules: [][]expr.Any{nft.Join(nft.NotUser(0), nft.Jump(users))}})
	}
	return append(chains, nft.Chain{Name: "forward", Hook: nftables.ChainHookForward, Priority: priority, Rules: forward})
}

// sending counts what is sent to each member: whether traffic takes a path. It
// is not told from packets that go to the same member another way.
func (c Config) sending(ids []setID) (rules [][]expr.Any) {
	for _, id := range ids {
		if id.path == receivers {
			rules = append(rules, nft.Join(nft.Dest(nft.Reg), within(c.Network),
				nft.Dest(nft.Reg), nft.Masked(nft.Reg, nft.Mask(id.bits), make([]byte, 4)), nft.In(id.name())))
		}
	}
	return rules
}

// portsOf returns the ports in the set of the members' VXLAN devices.
func portsOf(members map[string]bool) (ports []string) {
	for key := range members {
		ports = append(ports, key[4:6])
	}
	return ports
}

// toVXLAN matches what is to the address and port of a member's VXLAN device.
func toVXLAN() []expr.Any {
	return nft.Join(nft.Dest(nft.Reg), nft.DestPort(nft.Reg1), nft.In(setVXLAN))
}

// userRules are for what users send. A program's datagram always has the socket
// that it was written to. The packets of our VXLAN device have the socket of
// the inner packet: none, where that was forwarded. So the inner packet of a
// user is marked on its way to the device, which may be any that leads into the
// network, and the outer one is known by that. Whatever is sent by the device
// is not marked: a packet with a mark has its route looked up by the device
// each time.
func (c Config) userRules(uid uint32) [][]expr.Any {
	var rules [][]expr.Any
	if uid != 0 {
		rules = append(rules, nft.Join(nft.User(uid), nft.Accept()))
	}
	return append(rules,
		nft.Join(nft.HasMark(Mark), nft.Accept()),
		nft.Join(nft.Protocol(packet.UDP), toVXLAN(), drop(Sent)),
		nft.Join(nft.Dest(nft.Reg), within(c.Network), nft.SetMark(Mark)))
}

// sentRules are for what is forwarded to a tunnel of a member. This host may be
// a router between members.
func sentRules(fib bool) (rules [][]expr.Any) {
	if fib {
		rules = append(rules, nft.Join(nft.Source(nft.Reg), nft.In(setMembers), nft.ReachedByInput(true), nft.Accept()))
	}
	return append(rules, drop(Sent))
}

func drop(path string) []expr.Any { return nft.DropCounted(refused(path)) }

// Offsets in headers, in bytes (RFC 768, RFC 7348, IEEE 802.3).
const (
	offsetMAC     = 6
	offsetType    = 12
	udpLen        = 8
	offsetVNI     = udpLen + 4 // 3 bytes, and one that is not used
	offsetInner   = udpLen + 8 // the inner Ethernet header
	etherLen      = 14
	etherTypeIPv4 = 0x0800
)

// notVNI matches another network identifier: of a device that shares the port.
func notVNI(vni uint32) []expr.Any {
	return nft.Join(nft.Load(expr.PayloadBaseTransportHeader, offsetVNI, 4, nft.Reg),
		nft.Masked(nft.Reg, nft.Mask(24), make([]byte, 4)), nft.NotEqual(binary.BigEndian.AppendUint32(nil, vni<<8)))
}

// noIPv4InVXLAN matches where the inner packet is something else: it would be
// let in without a source that could be looked up.
func noIPv4InVXLAN() []expr.Any {
	return nft.Join(nft.Load(expr.PayloadBaseTransportHeader, offsetInner+offsetType, 2, nft.Reg),
		nft.NotEqual(binary.BigEndian.AppendUint16(nil, etherTypeIPv4)))
}

// innerOfVXLAN loads the inner source. Offsets count from the outer UDP header:
// the outer IPv4 header may have options.
func innerOfVXLAN(register uint32) []expr.Any {
	return nft.Load(expr.PayloadBaseTransportHeader, offsetInner+etherLen+nft.OffsetSource, 4, register)
}

// innerOfIPIP loads the inner source; the inner packet is the outer one's
// payload.
func innerOfIPIP(register uint32) []expr.Any {
	return nft.Load(expr.PayloadBaseTransportHeader, nft.OffsetSource, 4, register)
}

func etherSource() []expr.Any {
	return nft.Load(expr.PayloadBaseLLHeader, offsetMAC, macLen, nft.Reg)
}

// within and outside compare an address with a network.
func within(n netip.Prefix) []expr.Any {
	return nft.Join(nft.Masked(nft.Reg, nft.Mask(n.Bits()), make([]byte, 4)), nft.Equal(n.Addr().AsSlice()))
}

func outside(n netip.Prefix) []expr.Any {
	return nft.Join(nft.Masked(nft.Reg, nft.Mask(n.Bits()), make([]byte, 4)), nft.NotEqual(n.Addr().AsSlice()))
}
