// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"testing"

	"golang.org/x/net/bpf"
)

// to is a packet of a protocol for an address.
func to(address [4]byte, protocol byte, options int, payload ...byte) []byte {
	b := make([]byte, ipHeaderLen+options, ipHeaderLen+options+len(payload))
	b[0], b[9] = 0x40|byte(len(b)/4), protocol
	copy(b[16:], address[:])
	return append(b, payload...)
}

func TestTheFilterTakesAnswersOnly(t *testing.T) {
	vm, err := bpf.NewVM(answers(here))
	if err != nil {
		t.Fatal(err)
	}
	own, other := here.As4(), [4]byte{10, 244, 1, 1}
	flags := func(f byte) []byte { return []byte{13: f, 19: 0} }
	for name, c := range map[string]struct {
		packet []byte
		want   bool
	}{
		"an echo reply":                   {to(own, 1, 0, 0, 0), true},
		"an echo reply, with options":     {to(own, 1, 8, 0, 0), true},
		"unreachable":                     {to(own, 1, 0, 3, 1), true},
		"time exceeded":                   {to(own, 1, 0, 11, 0), true},
		"an echo request":                 {to(own, 1, 0, 8, 0), false},
		"a redirect":                      {to(own, 1, 0, 5, 0), false},
		"for another address":             {to(other, 1, 0, 0, 0), false},
		"a reset":                         {to(own, 6, 0, flags(0x04)...), true},
		"a reset with an acknowledgement": {to(own, 6, 40, flags(0x14)...), true},
		"a segment":                       {to(own, 6, 0, flags(0x10)...), false},
		"a datagram":                      {to(own, 17, 0, flags(0x04)...), false},
		"a first fragment":                {changed(to(own, 1, 0, 0, 0), 6, 0x20), true},
		"a later fragment":                {changed(to(own, 1, 0, 0, 0), 7, 1), false},
		"must not be fragmented":          {changed(to(own, 1, 0, 0, 0), 6, 0x40), true},
		"cut short":                       {to(own, 6, 0, 1, 2, 3), false},
		"nothing":                         {nil, false},
	} {
		n, err := vm.Run(c.packet)
		if err != nil || n > 0 != c.want {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}
