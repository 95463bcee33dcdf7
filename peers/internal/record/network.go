// SPDX-License-Identifier: Apache-2.0

package record

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Network is what every node of a network agrees on. It is fixed when the
// network is founded: the network's ID is a hash over all fields.
type Network struct {
	Prefix    netip.Prefix `cbor:"1,keyasint"`
	SubnetLen uint8        `cbor:"2,keyasint"`
	// SubnetMin and SubnetMax bound the subnets that are handed out
	// unasked, both included. A pin may lie outside that range.
	SubnetMin netip.Addr `cbor:"3,keyasint"`
	SubnetMax netip.Addr `cbor:"4,keyasint"`
	Founder   NodeID     `cbor:"5,keyasint"`
	Nonce     [16]byte   `cbor:"6,keyasint"`
	// Prefix6 and SubnetLen6 give each slot a second, IPv6, subnet. They
	// are kept and checked; this version hands none out. Zero: IPv4 only.
	Prefix6    netip.Prefix `cbor:"7,keyasint,omitzero"`
	SubnetLen6 uint8        `cbor:"8,keyasint,omitzero"`
	// Sealed networks carry no packet in the clear. The mode is part of the
	// identity, so that no node can be talked into the other one.
	Sealed bool `cbor:"9,keyasint,omitzero"`
}

// DefaultPrefix is the overlay network of a founding node that was given none.
var DefaultPrefix = netip.MustParsePrefix("10.244.0.0/16")

// The rules for subnet lengths are flannel's: a network has room for four
// subnets at least, and a subnet for two containers and the bridge.
const (
	defaultSubnetLen = 24
	smallNetworkLen  = 22 // networks smaller than this get subnets 2 bits longer
	maxSubnetLen     = 30
	minSubnetBits    = 2
)

// DefaultSubnetLen is the subnet length of a network that was given none.
func DefaultSubnetLen(network netip.Prefix) int {
	if network.Bits() > smallNetworkLen {
		return network.Bits() + minSubnetBits
	}
	return defaultSubnetLen
}

// WithDefaults fills what was left open, and checks that it fits together.
func (n Network) WithDefaults() (Network, error) {
	if !n.Prefix.IsValid() {
		n.Prefix = DefaultPrefix
	}
	if n.SubnetLen == 0 {
		n.SubnetLen = uint8(DefaultSubnetLen(n.Prefix))
	}
	if err := n.validateLengths(); err != nil {
		return Network{}, err
	}
	if !n.SubnetMin.IsValid() {
		n.SubnetMin = n.SubnetOf(1).Addr()
	}
	if !n.SubnetMax.IsValid() {
		n.SubnetMax = n.SubnetOf(n.Slots() - 1).Addr()
	}
	return n, n.Validate()
}

func (n Network) validateLengths() error {
	switch {
	case !n.Prefix.Addr().Is4() || n.Prefix != n.Prefix.Masked():
		return fmt.Errorf("network %s is not an IPv4 network address", n.Prefix)
	case int(n.SubnetLen) > maxSubnetLen:
		return fmt.Errorf("subnet length %d: at most %d, a subnet needs room for containers", n.SubnetLen, maxSubnetLen)
	case int(n.SubnetLen) < n.Prefix.Bits()+minSubnetBits:
		return fmt.Errorf("subnet length %d does not fit network %s: a network holds at least four subnets, so at least %d",
			n.SubnetLen, n.Prefix, n.Prefix.Bits()+minSubnetBits)
	}
	return nil
}

// Validate checks parameters from outside: a file or another node.
func (n Network) Validate() error {
	if err := n.validateLengths(); err != nil {
		return err
	}
	low, okLow := n.SlotOf(netip.PrefixFrom(n.SubnetMin, int(n.SubnetLen)))
	high, okHigh := n.SlotOf(netip.PrefixFrom(n.SubnetMax, int(n.SubnetLen)))
	switch {
	case !okLow:
		return fmt.Errorf("smallest subnet %s is no /%d subnet of network %s", n.SubnetMin, n.SubnetLen, n.Prefix)
	case !okHigh:
		return fmt.Errorf("largest subnet %s is no /%d subnet of network %s", n.SubnetMax, n.SubnetLen, n.Prefix)
	case low > high:
		return fmt.Errorf("smallest subnet %s is above the largest, %s", n.SubnetMin, n.SubnetMax)
	}
	return n.validate6()
}

const maxSubnetLen6 = 126

// validate6 checks the IPv6 half, where there is one: it must have a subnet for
// each slot.
func (n Network) validate6() error {
	p := n.Prefix6
	switch {
	case !p.IsValid() && n.SubnetLen6 == 0:
		return nil
	case !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6() || p != p.Masked() || p.Addr().Zone() != "":
		return fmt.Errorf("second network %s is not an IPv6 network address", p)
	case n.SubnetLen6 > maxSubnetLen6 || int(n.SubnetLen6)-p.Bits() < int(n.SubnetLen)-n.Prefix.Bits():
		return fmt.Errorf("subnet length %d does not fit the second network %s: it needs as many subnets as %s", n.SubnetLen6, p, n.Prefix)
	}
	return nil
}

// ID is the network's identity.
func (n Network) ID() NetworkID {
	if !n.Prefix.IsValid() {
		return NetworkID{}
	}
	sum := sha256.Sum256(Encode(n))
	return NetworkID(sum[:16])
}

// Slot numbers a subnet: slot 0 is the network's first. It is not handed out
// unasked, since its first address is the network's own. A pin may name it:
// Kubernetes gives the first node that subnet.
type Slot uint32

// Slots is how many subnets the network divides into, slot 0 included.
func (n Network) Slots() Slot { return 1 << (int(n.SubnetLen) - n.Prefix.Bits()) }

// SubnetOf is the prefix of a slot below Slots.
func (n Network) SubnetOf(s Slot) netip.Prefix {
	base := n.Prefix.Addr().As4()
	addr := binary.BigEndian.Uint32(base[:]) + uint32(s)<<(32-n.SubnetLen)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, addr))), int(n.SubnetLen))
}

// SlotOf is the slot of a subnet; ok is false when it is no subnet of the
// network.
func (n Network) SlotOf(subnet netip.Prefix) (s Slot, ok bool) {
	if !subnet.Addr().Is4() || subnet.Bits() != int(n.SubnetLen) || subnet != subnet.Masked() || !n.Prefix.Contains(subnet.Addr()) {
		return 0, false
	}
	addr, base := subnet.Addr().As4(), n.Prefix.Addr().As4()
	return Slot((binary.BigEndian.Uint32(addr[:]) - binary.BigEndian.Uint32(base[:])) >> (32 - n.SubnetLen)), true
}

// Eligible is the range of slots handed out unasked, both ends included.
func (n Network) Eligible() (low, high Slot) {
	low, _ = n.SlotOf(netip.PrefixFrom(n.SubnetMin, int(n.SubnetLen)))
	high, _ = n.SlotOf(netip.PrefixFrom(n.SubnetMax, int(n.SubnetLen)))
	return max(low, 1), high
}

// Agrees reports whether want agrees with n. Only the fields of want that are
// set count, and Sealed, which always does. The text names the first difference
// and the flag that asked for it.
func (n Network) Agrees(want Network) error {
	switch {
	case want.Sealed && !n.Sealed:
		return errors.New("--sealed: the network to join is not sealed, its packets travel in the clear; leave the flag out, or found a sealed network on another host")
	case !want.Sealed && n.Sealed:
		return errors.New("the network is sealed: give --sealed, too (`flanneld token` on a member prints the line to type)")
	case want.Prefix.IsValid() && want.Prefix != n.Prefix:
		return fmt.Errorf("--network %s: the network to join is %s; leave the flag out or correct it", want.Prefix, n.Prefix)
	case want.SubnetLen != 0 && want.SubnetLen != n.SubnetLen:
		return fmt.Errorf("--subnet-len %d: the network to join has %d; leave the flag out or correct it", want.SubnetLen, n.SubnetLen)
	case want.SubnetMin.IsValid() && want.SubnetMin != n.SubnetMin:
		return fmt.Errorf("--subnet-min %s: the network to join has %s; leave the flag out or correct it", want.SubnetMin, n.SubnetMin)
	case want.SubnetMax.IsValid() && want.SubnetMax != n.SubnetMax:
		return fmt.Errorf("--subnet-max %s: the network to join has %s; leave the flag out or correct it", want.SubnetMax, n.SubnetMax)
	}
	return nil
}
