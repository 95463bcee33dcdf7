// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"net/netip"
	"testing"
)

func TestPayloadFitsADatagram(t *testing.T) {
	to := netip.MustParseAddr("192.0.2.1")
	for mtu, want := range map[int]int{1500: 1472, 9000: 8972, 65535: 65507, 65536: 65507} {
		if got := Payload(mtu, to); got != want {
			t.Errorf("MTU %d: got %d, want %d", mtu, got, want)
		}
	}
}
