// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"fmt"
	"slices"
	"testing"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

func TestFlowIsOfAddressesProtocolAndPorts(t *testing.T) {
	base := packettest.Spec{Payload: packettest.Ports(1000, 53)}
	flow := base.Build().Flow()
	for name, same := range map[string]packettest.Spec{
		"another packet":     {Payload: append(packettest.Ports(1000, 53), 1, 2, 3), ID: 9, TTL: 3, Flags: packet.FlagDF},
		"one with options":   {Payload: packettest.Ports(1000, 53), Options: []byte{1, 1, 1, 1}},
		"its beginning only": {Payload: packettest.Ports(1000, 53)[:4]},
		"an answer":          {Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Ports(53, 1000)},
	} {
		if got := same.Build().Flow(); got != flow {
			t.Errorf("%s: %#x, want %#x", name, got, flow)
		}
	}
	for name, other := range map[string]packettest.Spec{
		"other source":           {Src: "10.244.1.6", Payload: packettest.Ports(1000, 53)},
		"other destination":      {Dst: "10.244.2.6", Payload: packettest.Ports(1000, 53)},
		"TCP":                    {Protocol: packet.TCP, Payload: packettest.Ports(1000, 53)},
		"other source port":      {Payload: packettest.Ports(1001, 53)},
		"other destination port": {Payload: packettest.Ports(1000, 54)},
	} {
		if got := other.Build().Flow(); got == flow {
			t.Errorf("%s: %#x, the same", name, got)
		}
	}
}

// Only the first of a packet's fragments has the ports, so none may go by them.
func TestFragmentsStayTogether(t *testing.T) {
	want := packettest.Spec{Payload: packettest.Ports(1000, 53), Flags: packet.FlagMF}.Build().Flow()
	for name, fragment := range map[string]packettest.Spec{
		"middle":             {Payload: packettest.Pattern(64), Flags: packet.FlagMF | 3},
		"last":               {Payload: packettest.Pattern(3), Flags: 11},
		"first of another":   {Payload: packettest.Ports(1001, 54), Flags: packet.FlagMF, ID: 77},
		"first, header only": {Flags: packet.FlagMF},
	} {
		if got := fragment.Build().Flow(); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	for name, without := range map[string]packettest.Spec{
		"ICMP": {Protocol: packet.ICMP, Payload: packettest.Pattern(20)}, "GRE": {Protocol: 47, Payload: packettest.Pattern(20)}, "short UDP": {Payload: packettest.Pattern(3)},
	} {
		a := without.Build()
		without.ID, without.TTL = 5, 9
		if b := without.Build(); a.Flow() != b.Flow() {
			t.Errorf("%s: %#x and %#x", name, a.Flow(), b.Flow())
		}
	}
}

// Flows that differ little go to different sources all the same.
func TestFlowsSpread(t *testing.T) {
	for name, flow := range map[string]func(i int) packet.Packet{
		"source ports": func(i int) packet.Packet {
			return packettest.Spec{Payload: packettest.Ports(uint16(40000+i), 80)}.Build()
		},
		"even source ports": func(i int) packet.Packet {
			return packettest.Spec{Payload: packettest.Ports(uint16(40000+2*i), 80)}.Build()
		},
		"hosts": func(i int) packet.Packet {
			return packettest.Spec{Src: fmt.Sprintf("10.244.1.%d", i), Payload: packettest.Ports(4000, 80)}.Build()
		},
		"pings": func(i int) packet.Packet {
			return packettest.Spec{Dst: fmt.Sprintf("10.244.2.%d", i), Protocol: packet.ICMP}.Build()
		},
	} {
		for _, sources := range []int{2, 4, 16} {
			count := make([]int, sources)
			const flows = 256
			for i := range flows {
				count[flow(i).Flow()%sources]++
			}
			if even := flows / sources; slices.Min(count) < even/2 || slices.Max(count) > 2*even {
				t.Errorf("%s, %d sources: %v", name, sources, count)
			}
		}
	}
}
