// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"fmt"
	"net/netip"

	"flanneld/encap"
)

// The longest overlay packet on an underlay of 1500 bytes.
func ExamplePayload() {
	peer := netip.MustParseAddr("192.0.2.7")
	fmt.Println(encap.Overhead(peer), encap.Payload(1500, peer))
	// Output: 28 1472
}
