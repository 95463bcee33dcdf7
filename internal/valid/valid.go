// SPDX-License-Identifier: Apache-2.0

// Package valid knows what devices, shell variables and hosts can be called, so
// that settings and their users agree. It is pure.
package valid

import (
	"net/netip"
	"strings"
)

// MaxDevice is the longest name of a device, in bytes: IFNAMSIZ less the
// terminating zero.
const MaxDevice = 15

// Device reports whether a device can have that name (dev_valid_name in the
// kernel) and no program reads it as something else. iptables reads '+' as a
// wildcard and '!' as a negation; water reads '%' as a number.
func Device(name string) bool {
	odd := func(r rune) bool { return !letter(r) && !digit(r) && r != '.' && r != '-' && r != '_' }
	return name != "" && len(name) <= MaxDevice && name[0] != '.' && name[0] != '-' && !strings.ContainsFunc(name, odd)
}

// Variable reports whether a shell variable can have that name.
func Variable(name string) bool {
	odd := func(r rune) bool { return !letter(r) && !digit(r) && r != '_' }
	return name != "" && !digit(rune(name[0])) && !strings.ContainsFunc(name, odd)
}

func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func digit(r rune) bool { return r >= '0' && r <= '9' }

// Host reports whether a host can have that IPv4 address: no unspecified one,
// no group, and not the limited broadcast.
func Host(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
