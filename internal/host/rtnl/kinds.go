// SPDX-License-Identifier: Apache-2.0

package rtnl

// ContainerKinds are the kinds of devices that containers are attached to.
// Devices of another kind (network cards, bonds, VLANs, tunnels) lead to other
// hosts.
var ContainerKinds = []string{"bridge", "veth", "openvswitch", "netkit", "ipvlan"}
