// SPDX-License-Identifier: Apache-2.0

package rtnl

// ContainerKinds are the kinds of devices that containers are attached to.
// Devices of another kind (network cards, bonds, VLANs, tunnels) lead to other
// hosts.
var ContainerKinds = []string{Bridge, "veth", "openvswitch", "netkit", "ipvlan"}

// Bridge is the kind of a Linux bridge.
const Bridge = "bridge"
