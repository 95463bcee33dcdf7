// SPDX-License-Identifier: Apache-2.0

package nft

import "net/netip"

// NameKey is a device's name, filled up to IFNAMSIZ: as a key, and as what the
// name of a packet's device is compared with.
func NameKey(name string) string {
	var b [16]byte
	copy(b[:], name)
	return string(b[:])
}

// NameKeys are the keys of a set of names.
func NameKeys(names []string) map[string]bool {
	keys := map[string]bool{}
	for _, name := range names {
		keys[NameKey(name)] = true
	}
	return keys
}

// AddrKey is an IPv4 address as a key, or as a field of one.
func AddrKey(a netip.Addr) string {
	b := a.As4()
	return string(b[:])
}

// PortKey is a port as a field of a key: in network order, filled up to a
// register of 4 bytes.
func PortKey(port uint16) string { return string([]byte{byte(port >> 8), byte(port), 0, 0}) }
