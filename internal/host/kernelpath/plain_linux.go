// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"slices"

	"github.com/vishvananda/netlink/nl"
)

// Settings that the netlink library has no names for.
const (
	vxlanLabel      = 26 // IFLA_VXLAN_LABEL, Linux 4.6
	vxlanGPE        = 27 // IFLA_VXLAN_GPE, Linux 4.7
	vxlanTTLInherit = 28 // IFLA_VXLAN_TTL_INHERIT, Linux 4.18
	vxlanDF         = 29 // IFLA_VXLAN_DF, Linux 4.20
	vxlanVNIFilter  = 30 // IFLA_VXLAN_VNIFILTER, Linux 5.18
	ipipMark        = 20 // IFLA_IPTUN_FWMARK, Linux 4.12
)

// unsets are the settings of a kind of device that no flanneld sets. The kernel
// reports zero or nothing. Those without a value are in flags.
var unsets = map[string][]uint16{
	kindVXLAN: {
		nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_GROUP6, nl.IFLA_VXLAN_LINK, nl.IFLA_VXLAN_TTL, nl.IFLA_VXLAN_TOS, nl.IFLA_VXLAN_LEARNING,
		nl.IFLA_VXLAN_LIMIT, nl.IFLA_VXLAN_PROXY, nl.IFLA_VXLAN_RSC, nl.IFLA_VXLAN_L2MISS, nl.IFLA_VXLAN_L3MISS,
		nl.IFLA_VXLAN_REMCSUM_TX, nl.IFLA_VXLAN_REMCSUM_RX, nl.IFLA_VXLAN_FLOWBASED, vxlanLabel, vxlanTTLInherit, vxlanDF, vxlanVNIFilter,
	},
	kindIPIP: {
		nl.IFLA_IPTUN_LINK, nl.IFLA_IPTUN_REMOTE, nl.IFLA_IPTUN_TTL, nl.IFLA_IPTUN_TOS, nl.IFLA_IPTUN_PMTUDISC,
		nl.IFLA_IPTUN_ENCAP_TYPE, ipipMark,
	},
}

// flags are settings without a value: they are there or not.
var flags = map[string][]uint16{
	kindVXLAN: {nl.IFLA_VXLAN_GBP, vxlanGPE},
	kindIPIP:  {nl.IFLA_IPTUN_COLLECT_METADATA},
}

// isBare reports whether a device has none of the settings that no flanneld
// sets. data is as from [rtnl.LinkData].
func isBare(kind string, data map[uint16][]byte) bool {
	for _, setting := range unsets[kind] {
		if slices.ContainsFunc(data[setting], func(b byte) bool { return b != 0 }) {
			return false
		}
	}
	for _, flag := range flags[kind] {
		if _, set := data[flag]; set {
			return false
		}
	}
	return true
}
