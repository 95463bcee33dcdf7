// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// 32-bit registers. Reg is also the first four of them. A key of several fields
// takes consecutive ones (linux/netfilter/nf_tables.h).
const (
	Reg  = 1
	Reg1 = 9
	Reg2 = 10
)

// Offsets in the IPv4, UDP and TCP headers, in bytes (RFC 791, 768, 9293).
const (
	offsetProtocol = 9
	OffsetSource   = 12
	offsetDest     = 16
	offsetDestPort = 2
)

// MetaIIFKind is NFT_META_IIFKIND (Linux 5.1), which the library has no name
// for: the kind of the input device, as `ip -d link` shows it.
const MetaIIFKind expr.MetaKey = 26

// Join is a rule of these parts.
func Join(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

// Meta loads what belongs to the packet without being in it.
func Meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: Reg}} }

// Load loads bytes of the packet into a register.
func Load(base expr.PayloadBase, offset, length, register uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}}
}

// Source loads the source address into a register.
func Source(register uint32) []expr.Any {
	return Load(expr.PayloadBaseNetworkHeader, OffsetSource, 4, register)
}

// Dest loads the destination address into a register.
func Dest(register uint32) []expr.Any {
	return Load(expr.PayloadBaseNetworkHeader, offsetDest, 4, register)
}

// DestPort loads the destination port of UDP and TCP into a register.
func DestPort(register uint32) []expr.Any {
	return Load(expr.PayloadBaseTransportHeader, offsetDestPort, 2, register)
}

// Masked is what a register holds, AND the mask, XOR xor.
func Masked(register uint32, mask, xor []byte) []expr.Any {
	return []expr.Any{&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(mask)), Mask: mask, Xor: xor}}
}

// Equal and NotEqual compare what Reg holds.
func Equal(value []byte) []expr.Any { return compare(expr.CmpOpEq, value) }

// NotEqual is the opposite of Equal.
func NotEqual(value []byte) []expr.Any { return compare(expr.CmpOpNeq, value) }

func compare(op expr.CmpOp, value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: op, Register: Reg, Data: value}}
}

// In looks what is in Reg, and in those after it, up in a set.
func In(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: Reg, SetName: set}}
}

// NotIn matches what In does not.
func NotIn(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: Reg, SetName: set, Invert: true}}
}

// InputDevice and OutputDevice match a device by its name.
func InputDevice(name string) []expr.Any {
	return Join(Meta(expr.MetaKeyIIFNAME), Equal([]byte(NameKey(name))))
}

// OutputDevice is InputDevice for the device that a packet leaves by.
func OutputDevice(name string) []expr.Any {
	return Join(Meta(expr.MetaKeyOIFNAME), Equal([]byte(NameKey(name))))
}

// Protocol matches the protocol of an IPv4 header. The kernel has a short way
// for loads of 1, 2 and 4 bytes at such an offset, and none for what belongs to
// the packet.
func Protocol(proto byte) []expr.Any {
	return Join(Load(expr.PayloadBaseNetworkHeader, offsetProtocol, 1, Reg), Equal([]byte{proto}))
}

// User matches the user that opened the sending socket.
func User(uid uint32) []expr.Any {
	return Join(Meta(expr.MetaKeySKUID), Equal(binaryutil.NativeEndian.PutUint32(uid)))
}

// NotUser matches another user. It does not match a packet without a socket.
func NotUser(uid uint32) []expr.Any {
	return Join(Meta(expr.MetaKeySKUID), NotEqual(binaryutil.NativeEndian.PutUint32(uid)))
}

// maxPorts bounds the rules that compare ports.
const maxPorts = 4

// ToPorts matches TCP and UDP to the ports, in network order, each once, and
// also what is alike of other protocols. A rule that begins so costs other
// packets least: the kernel compares a port within its loop, and calls a
// function to look up a key. In most networks all members have the same port.
// Where there are many ports, one beginning matches everything.
func ToPorts(ports []string) (begin [][]expr.Any) {
	ports = slices.Compact(slices.Sorted(slices.Values(ports)))
	if len(ports) > maxPorts {
		return [][]expr.Any{nil}
	}
	for _, port := range ports {
		begin = append(begin, Join(DestPort(Reg), Equal([]byte(port))))
	}
	return begin
}

// SourceCheck is in which chains the kernel takes ReachedByInput.
type SourceCheck int

// What kernels can do, the best last.
const (
	Nowhere      SourceCheck = iota // without nft_fib_ipv4
	InPrerouting                    // kernels such as 5.10 refuse it in other hooks
	InAnyHook
)

// ReachedByInput compares whether the host's own routing leads to the source by
// the device that the packet came by. So a forged source does not count.
func ReachedByInput(is bool) []expr.Any {
	zero := Equal(make([]byte, 4))
	if is {
		zero = NotEqual(make([]byte, 4))
	}
	return Join([]expr.Any{&expr.Fib{Register: Reg, FlagSADDR: true, FlagIIF: true, ResultOIF: true}}, zero)
}

// ToThisHost compares whether the destination is an address of this host, for
// chains that see packets before they are routed.
func ToThisHost(is bool) []expr.Any {
	local := binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)
	kind := Equal(local)
	if !is {
		kind = NotEqual(local)
	}
	return Join([]expr.Any{&expr.Fib{Register: Reg, FlagDADDR: true, ResultADDRTYPE: true}}, kind)
}

// SetMark sets a bit of the packet's mark and leaves the others.
func SetMark(bit uint32) []expr.Any {
	return Join(
		Meta(expr.MetaKeyMARK),
		Masked(Reg, binaryutil.NativeEndian.PutUint32(^bit), binaryutil.NativeEndian.PutUint32(bit)),
		[]expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: Reg}},
	)
}

// HasMark matches where a bit of the packet's mark is set.
func HasMark(bit uint32) []expr.Any {
	zero := make([]byte, 4)
	return Join(Meta(expr.MetaKeyMARK), Masked(Reg, binaryutil.NativeEndian.PutUint32(bit), zero), NotEqual(zero))
}

// Accept ends the base chain.
func Accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// Drop ends everything, and counts for `nft list table`.
func Drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

// DropCounted is Drop with a named counter.
func DropCounted(name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

// Jump goes through another chain of the table.
func Jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// KeepSource ends translation of the connection with a binding that changes
// nothing: no later chain can change its source any more. Where another
// connection has the same addresses and ports, the kernel chooses another port.
func KeepSource() []expr.Any {
	return Join(Source(Reg), []expr.Any{&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: Reg, RegAddrMax: Reg}})
}

// SetSource gives the connection another source address, with a port at random.
// So two connections that begin at the same time do not get the same port.
func SetSource(address []byte) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: Reg, Data: address},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: Reg, RegAddrMax: Reg, FullyRandom: true},
	}
}

// Masquerade gives the connection the address of the device that it leaves by,
// with a port at random.
func Masquerade() []expr.Any { return []expr.Any{&expr.Masq{FullyRandom: true}} }

// Return ends the base chain without a binding; a later chain may translate.
func Return() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}} }

// Within and Outside compare the address in Reg with a network.
func Within(n netip.Prefix) []expr.Any {
	return Join(Masked(Reg, Mask(n.Bits()), make([]byte, 4)), Equal(n.Addr().AsSlice()))
}

// Outside is the opposite of Within.
func Outside(n netip.Prefix) []expr.Any {
	return Join(Masked(Reg, Mask(n.Bits()), make([]byte, 4)), NotEqual(n.Addr().AsSlice()))
}

// Port is a port as rules and keys have it.
func Port(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }

// Mask is the mask of so many bits.
func Mask(bits int) []byte { return binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-bits)) }
