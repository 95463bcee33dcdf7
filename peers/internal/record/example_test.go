// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"fmt"
	"net/netip"

	"flanneld/peers/internal/record"
)

// A network divides into numbered slots. Slot 0 is never handed out.
func ExampleNetwork_SubnetOf() {
	n, err := record.Network{Prefix: netip.MustParsePrefix("10.244.0.0/16")}.WithDefaults()
	if err != nil {
		panic(err)
	}
	fmt.Println(n.Slots(), "slots of length", n.SubnetLen)
	fmt.Println(n.SubnetOf(7))
	slot, ok := n.SlotOf(netip.MustParsePrefix("10.244.7.0/24"))
	fmt.Println(slot, ok)
	// Output:
	// 256 slots of length 24
	// 10.244.7.0/24
	// 7 true
}

// Claims are ordered by the start they were made in, then by their count.
func ExampleClaimID_Compare() {
	first, second := record.NewClaimID(3, 1), record.NewClaimID(3, 2)
	afterRestart := record.NewClaimID(4, 1)
	fmt.Println(first.Compare(second), second.Compare(afterRestart))
	// Output: -1 -1
}
