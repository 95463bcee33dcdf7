// SPDX-License-Identifier: Apache-2.0

package rtnl

// Protocol is the protocol number of flanneld's routes to single peers. `ip
// route` shows its name where rt_protos.d has it.
const Protocol = 85

// AliasPrefix begins the alias of every device that flanneld made. It
// distinguishes them from other programs' devices (ip link shows it).
const AliasPrefix = "flanneld"
