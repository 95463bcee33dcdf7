// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"net/netip"
)

// Header describes an IP header without options, for Put. The identification is
// zero, so a packet that may be fragmented needs one of its own (RFC 6864).
type Header struct {
	TOS          byte
	TTL          byte
	Protocol     byte
	DontFragment bool
	Source       netip.Addr // IPv4, as Destination
	Destination  netip.Addr
}

// Put writes the header into the first HeaderLen bytes of b, which is the whole
// packet, and returns b as a Packet. The payload may be written before or
// after.
func (h Header) Put(b []byte) Packet {
	source, destination := h.Source.As4(), h.Destination.As4()
	clear(b[:HeaderLen])
	b[0] = 4<<4 | HeaderLen/4
	b[1] = h.TOS
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if h.DontFragment {
		binary.BigEndian.PutUint16(b[6:], FlagDF)
	}
	b[8], b[9] = h.TTL, h.Protocol
	copy(b[12:], source[:])
	copy(b[16:], destination[:])
	p := Packet(b)
	p.SetChecksum()
	return p
}
