// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"flanneld/test/lab"
)

// routing is the limit: the underlay routes to the pods, without a tunnel.
func routing(p *lab.Program, hosts pair, s subject) *path {
	from, to := hosts.pods(p, 201, 1500)
	hosts.h1.Exec(p, "ip", "route", "add", "10.201.2.0/24", "via", hosts.h2.Addr.String())
	hosts.h2.Exec(p, "ip", "route", "add", "10.201.1.0/24", "via", hosts.h1.Addr.String())
	return &path{subject: s, from: from, to: to}
}

// vxlan is set up as flannel's vxlan backend does it: a route for each subnet
// through a device that has the other host as its remote.
func vxlan(p *lab.Program, hosts pair, s subject) *path {
	from, to := hosts.pods(p, 202, 1450)
	for i, h := range hosts.both() {
		peer := hosts.both()[1-i]
		h.Exec(p, "ip", "link", "add", "vxlan1", "mtu", "1450", "type", "vxlan", "id", "1", "dstport", "8472",
			"local", h.Addr.String(), "remote", peer.Addr.String(), "dev", "eth0")
		h.Exec(p, "ip", "address", "add", fmt.Sprintf("10.202.%d.0/32", i+1), "dev", "vxlan1")
		h.Exec(p, "ip", "link", "set", "vxlan1", "up")
		h.Exec(p, "ip", "route", "add", fmt.Sprintf("10.202.%d.0/24", 2-i), "via", fmt.Sprintf("10.202.%d.0", 2-i), "dev", "vxlan1", "onlink")
	}
	return &path{subject: s, from: from, to: to}
}
