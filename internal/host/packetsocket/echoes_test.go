// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"testing"

	"golang.org/x/net/bpf"
)

// echoOf is an ICMP message with an identifier, between two addresses.
func echoOf(kind byte, id byte, from, destination [4]byte, options int) []byte {
	b := to(destination, 1, options, kind, 0, 0, 0, 0, id, 0, 1)
	copy(b[12:], from[:])
	return b
}

func TestTheFilterOfEchoesTakesOneTrace(t *testing.T) {
	vm, err := bpf.NewVM(echoes(7, here))
	if err != nil {
		t.Fatal(err)
	}
	own, other := here.As4(), [4]byte{10, 244, 9, 254}
	for name, c := range map[string]struct {
		packet []byte
		want   bool
	}{
		"a request":                  {echoOf(8, 7, other, own, 0), true},
		"a request, with options":    {echoOf(8, 7, other, own, 8), true},
		"an answer":                  {echoOf(0, 7, own, other, 0), true},
		"a request from the address": {echoOf(8, 7, own, other, 0), false},
		"an answer to the address":   {echoOf(0, 7, other, own, 0), false},
		"another identifier":         {echoOf(8, 8, other, own, 0), false},
		"another message":            {echoOf(3, 7, other, own, 0), false},
		"another protocol":           {changed(echoOf(8, 7, other, own, 0), 9, 17), false},
		"a later fragment":           {changed(echoOf(8, 7, other, own, 0), 7, 1), false},
		"IPv6":                       {changed(echoOf(8, 7, other, own, 0), 0, 0x60), false},
		"cut short":                  {echoOf(8, 7, other, own, 0)[:24], false},
		"nothing":                    {nil, false},
	} {
		n, err := vm.Run(c.packet)
		if err != nil || n > 0 != c.want {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}
