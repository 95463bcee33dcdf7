// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxPartBits is the longest prefix that a network of containers can have: its
// own address, the gateway, one container, and broadcast.
const maxPartBits = 30

// Part is one of several equal parts of a lease. The zero Part is the whole.
type Part struct {
	number int // from 1; 0: the whole, or nothing
	of     int // a power of 2; -1: none of the lease
}

// None is no part of the lease: docker0 stays elsewhere.
var None = Part{0, -1}

// ParsePart reads a part such as 2/4, the second of four quarters, or "none".
func ParsePart(text string) (Part, error) {
	if text == "none" {
		return None, nil
	}
	first, second, ok := strings.Cut(text, "/")
	number, err1 := strconv.Atoi(first)
	of, err2 := strconv.Atoi(second)
	if !ok || err1 != nil || err2 != nil || of < 1 || bits.OnesCount(uint(of)) != 1 || of > 1<<16 || number < 1 || number > of {
		return Part{}, fmt.Errorf("%.40q is no part such as 1/2 or 3/4: the second number is a power of 2, and the first is not greater", text)
	}
	if of == 1 {
		return Part{}, nil
	}
	return Part{number, of}, nil
}

// String is what ParsePart reads.
func (p Part) String() string {
	switch p {
	case None:
		return "none"
	case Part{}:
		return "1/1"
	}
	return fmt.Sprintf("%d/%d", p.number, p.of)
}

// Of returns the part of a lease. A lease without room for so many networks is
// an error, and so is None.
func (p Part) Of(lease netip.Prefix) (netip.Prefix, error) {
	lease = lease.Masked()
	if p == None {
		return netip.Prefix{}, fmt.Errorf("docker: part %q is no subnet", p)
	}
	if p == (Part{}) {
		return lease, nil
	}
	length := lease.Bits() + bits.TrailingZeros(uint(p.of))
	if !lease.Addr().Is4() || length > maxPartBits {
		return netip.Prefix{}, fmt.Errorf("lease %s is too small to be divided into %d parts: give it fewer parts, or found the network with a smaller --subnet-len", lease, p.of)
	}
	base := uint32(p.number-1) << (32 - length)
	return netip.PrefixFrom(add(lease.Addr(), base), length), nil
}

// PartOf returns which part of the lease a subnet is.
func PartOf(lease, subnet netip.Prefix) (Part, bool) {
	lease, subnet = lease.Masked(), subnet.Masked()
	n := subnet.Bits() - lease.Bits()
	if !lease.IsValid() || !lease.Addr().Is4() || n < 0 || n > 16 || !lease.Contains(subnet.Addr()) {
		return Part{}, false
	}
	if n == 0 {
		return Part{}, true
	}
	return Part{int((number(subnet.Addr())-number(lease.Addr()))>>(32-subnet.Bits())) + 1, 1 << n}, true
}

// Rest returns what is left of a lease when the subnets in use are taken out:
// as few prefixes as possible, in the order of their addresses.
func Rest(lease netip.Prefix, used []netip.Prefix) []netip.Prefix {
	lease = lease.Masked()
	if !lease.Addr().Is4() || slices.ContainsFunc(used, func(u netip.Prefix) bool { return u.Bits() <= lease.Bits() && u.Overlaps(lease) }) {
		return nil
	}
	if !slices.ContainsFunc(used, lease.Overlaps) {
		return []netip.Prefix{lease}
	}
	low := netip.PrefixFrom(lease.Addr(), lease.Bits()+1)
	high := netip.PrefixFrom(add(lease.Addr(), 1<<(31-lease.Bits())), lease.Bits()+1)
	return append(Rest(low, used), Rest(high, used)...)
}

// Largest returns the largest of several prefixes that has room for a network
// of containers, the last one of these; ok is false where none has.
func Largest(all []netip.Prefix) (largest netip.Prefix, ok bool) {
	for _, p := range all {
		if p.Bits() <= maxPartBits && (!ok || cmp.Compare(p.Bits(), largest.Bits()) <= 0) {
			largest, ok = p, true
		}
	}
	return largest, ok
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func add(a netip.Addr, n uint32) netip.Addr {
	n += number(a)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
