// SPDX-License-Identifier: Apache-2.0

package packet

const (
	// TCPHeaderLen is the length of a TCP header without options, in bytes.
	TCPHeaderLen = 20

	// UDPHeaderLen is the length of a UDP header, in bytes.
	UDPHeaderLen = 8

	// MaxHeadersLen is the length of the longest IP and TCP headers together:
	// 15 words of 4 bytes each.
	MaxHeadersLen = MaxHeaderLen + 60
)

// Layout is where things are in a TCP or UDP packet.
type Layout struct {
	IP       int  // length of the IP header, in bytes
	Headers  int  // length of the IP and the transport header
	Protocol byte // TCP or UDP
}

// LayoutOf finds where the headers of b end. ok is false unless b is one whole
// IPv4 packet, no fragment, with a complete TCP or UDP header. LayoutOf does
// not verify checksums.
func LayoutOf(b []byte) (l Layout, ok bool) {
	if len(b) < HeaderLen || b[0]>>4 != 4 {
		return l, false
	}
	p := Packet(b)
	l.IP, l.Protocol = p.HeaderLen(), p.Protocol()
	if l.IP < HeaderLen || len(b) < l.IP || p.totalLen() != len(b) || p.Fragment() {
		return l, false
	}
	transport := b[l.IP:]
	switch l.Protocol {
	case TCP:
		if len(transport) < TCPHeaderLen {
			return l, false
		}
		n := int(transport[12]>>4) * 4
		l.Headers = l.IP + n
		return l, n >= TCPHeaderLen && n <= len(transport)
	case UDP:
		l.Headers = l.IP + UDPHeaderLen
		return l, len(transport) >= UDPHeaderLen
	}
	return l, false
}

// ChecksumValid verifies the transport checksum of p, which has this layout.
func (l Layout) ChecksumValid(p []byte) bool {
	transport := p[l.IP:]
	return PseudoHeader(p, len(transport)).Bytes(transport).Fold() == 0xffff
}
