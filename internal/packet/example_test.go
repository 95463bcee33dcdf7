// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/packet"
)

func ExampleParse() {
	b := packet.Header{
		TTL: 64, Protocol: packet.UDP,
		Source: netip.MustParseAddr("10.244.1.5"), Destination: netip.MustParseAddr("10.244.2.7"),
	}.Put(make([]byte, packet.HeaderLen+100))

	p, err := packet.Parse(b)
	fmt.Println(p.Source(), "to", p.Destination(), len(p.Payload()), err)

	_, err = packet.Parse(b[:60])
	fmt.Println(errors.Is(err, packet.ErrLength))
	// Output:
	// 10.244.1.5 to 10.244.2.7 100 <nil>
	// true
}

func ExampleFragmenter() {
	p := packet.Header{
		TTL: 64, Protocol: packet.UDP,
		Source: netip.MustParseAddr("10.244.1.5"), Destination: netip.MustParseAddr("10.244.2.7"),
	}.Put(make([]byte, packet.HeaderLen+2000))

	f := packet.NewFragmenter(p.Header(), p.Payload(), 1000)
	for {
		var memory [packet.MaxHeaderLen]byte
		header, payload, ok := f.Next(&memory)
		if !ok {
			break
		}
		flags := header.Flags()
		fmt.Println(len(payload), "bytes at", 8*int(flags&packet.OffsetMask), "more:", flags&packet.FlagMF != 0)
	}
	// Output:
	// 976 bytes at 0 more: true
	// 976 bytes at 976 more: true
	// 48 bytes at 1952 more: false
}
