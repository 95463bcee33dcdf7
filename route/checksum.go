package route

import "flanneld/tun"

// checksum is the Internet checksum of b (RFC 1071). Over a header that contains
// its own correct checksum it is zero.
func checksum(b []byte) uint16 { return tun.Checksum(b) }

// updateChecksum is the checksum after one 16-bit word has changed from old to
// new: HC' = ~(~HC + ~m + m'), equation 3 of RFC 1624.
func updateChecksum(check, old, new uint16) uint16 {
	s := uint32(^check) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	return ^uint16(s>>16 + s&0xffff)
}
