// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// Fragmenter cuts one packet into fragments (RFC 791, sections 2.3 and 3.2). It
// writes headers only; the payload of each fragment is a part of the packet's
// own. Fragments can be cut further in the same way. Make one with
// NewFragmenter.
type Fragmenter struct {
	original Packet // header of the packet
	payload  []byte // what no fragment has carried yet
	mtu      int
	offset   int  // of payload, in units of 8 bytes
	more     bool // the packet is itself followed by others
	later    bool // the next fragment is not the first of this packet
}

// NewFragmenter begins to cut a packet into pieces of at most mtu bytes, at
// least MinMTU. header begins with the IP header, in which DF must be clear;
// payload is what follows that.
func NewFragmenter(header Packet, payload []byte, mtu int) Fragmenter {
	return Fragmenter{
		original: header.Header(),
		payload:  payload,
		mtu:      mtu,
		offset:   int(header.Flags() & OffsetMask),
		more:     header.Flags()&FlagMF != 0,
	}
}

// Next writes the header of the next fragment to memory and returns it with the
// fragment's payload. ok is false when none is left.
func (f *Fragmenter) Next(memory *[MaxHeaderLen]byte) (header Packet, payload []byte, ok bool) {
	if f.later && len(f.payload) == 0 {
		return nil, nil, false
	}
	header = f.copyHeader(memory)
	length, last := len(f.payload), true
	if room := f.mtu - len(header); length > room {
		length, last = room&^7, false
	}
	payload, f.payload = f.payload[:length], f.payload[length:]
	f.finish(header, length, last)
	f.offset += length / 8
	f.later = true
	return header, payload, true
}

// copyHeader copies the packet's header: with all options for the first
// fragment, with the options of every fragment for the others.
func (f *Fragmenter) copyHeader(memory *[MaxHeaderLen]byte) Packet {
	if !f.later {
		n := copy(memory[:], f.original)
		return Packet(memory[:n])
	}
	copy(memory[:HeaderLen], f.original)
	n := HeaderLen + copyOptions(memory[HeaderLen:], f.original.Options())
	memory[0] = 4<<4 | byte(n/4)
	return Packet(memory[:n])
}

// finish fills in what differs from fragment to fragment.
func (f *Fragmenter) finish(header Packet, length int, last bool) {
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+length))
	flags := f.original.Flags()&^(FlagMF|OffsetMask) | uint16(f.offset)
	if !last || f.more {
		flags |= FlagMF
	}
	binary.BigEndian.PutUint16(header[6:], flags)
	header.SetChecksum()
}

// IP options (RFC 791, section 3.1) have a type and, but for two types, a
// length.
const (
	optionEnd  = 0
	optionNop  = 1
	optionCopy = 0x80 // in the type: belongs into every fragment
)

// copyOptions writes the options that belong into every fragment to dst and
// returns their length, padded to 4 bytes. It stops at an option with a wrong
// length, because the next one could begin anywhere.
func copyOptions(dst, options []byte) int {
	n := 0
	for len(options) > 0 && options[0] != optionEnd {
		length := 1
		if options[0] != optionNop {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				break
			}
			length = int(options[1])
		}
		if options[0]&optionCopy != 0 {
			n += copy(dst[n:], options[:length])
		}
		options = options[length:]
	}
	for n%4 != 0 {
		dst[n] = optionEnd
		n++
	}
	return n
}
