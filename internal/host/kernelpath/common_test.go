// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net"
	"net/netip"
)

func testConfig() Config {
	return Config{
		Network: netip.MustParsePrefix("10.244.0.0/16"), Lease: netip.MustParsePrefix("10.244.7.0/24"),
		Underlay: "eth0", Local: netip.MustParseAddr("192.168.7.1"), MTU: 1450, Alias: "flanneld test",
		VXLAN: &VXLAN{Name: "flannel.1", VNI: 1, Port: 8472, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 7}},
	}
}

// testPeer is the peer with the lease 10.244.n.0/24.
func testPeer(n byte, path string) Peer {
	return Peer{
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24), Endpoint: netip.AddrFrom4([4]byte{192, 168, 7, n}),
		VXLAN: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, n}, Path: path,
	}
}
