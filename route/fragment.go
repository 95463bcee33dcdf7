package route

import "encoding/binary"

// fragmenter cuts one packet into fragments (RFC 791, section 2.3 and 3.2). Only
// headers are written; the payload of each fragment is a part of the packet's
// own. Fragments can be cut further in the same way.
//
// The outer datagram is never fragmented instead: then one lost fragment costs
// the whole packet unseen, and many networks drop outer fragments.
type fragmenter struct {
	original packet // header of the packet
	payload  []byte // what no fragment has carried yet
	mtu      int
	offset   int  // of payload, in units of 8 bytes
	more     bool // the packet is itself followed by others
	later    bool // the next fragment is not the first of this packet
}

// fragments begins to cut the packet that has this header and payload, and may
// be fragmented, into pieces of at most mtu bytes. mtu must be at least minMTU.
func fragments(header packet, payload []byte, mtu int) fragmenter {
	return fragmenter{
		original: header.header(),
		payload:  payload,
		mtu:      mtu,
		offset:   int(header.flags() & offsetMask),
		more:     header.flags()&flagMF != 0,
	}
}

// next writes the header of the next fragment to memory and returns it with the
// fragment's payload. ok is false when none is left.
func (f *fragmenter) next(memory *[maxHeader]byte) (header packet, payload []byte, ok bool) {
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
// fragment, with those that ask for it for the others.
func (f *fragmenter) copyHeader(memory *[maxHeader]byte) packet {
	if !f.later {
		n := copy(memory[:], f.original)
		return packet(memory[:n])
	}
	copy(memory[:minHeader], f.original)
	n := minHeader + copyOptions(memory[minHeader:], f.original.options())
	memory[0] = 4<<4 | byte(n/4)
	return packet(memory[:n])
}

// finish fills in what differs from fragment to fragment.
func (f *fragmenter) finish(header packet, length int, last bool) {
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+length))
	flags := f.original.flags()&^(flagMF|offsetMask) | uint16(f.offset)
	if !last || f.more {
		flags |= flagMF
	}
	binary.BigEndian.PutUint16(header[6:], flags)
	header.seal()
}

// IP options (RFC 791, section 3.1): a type, and but for two of them a length.
const (
	optionEnd  = 0
	optionNop  = 1
	optionCopy = 0x80 // in the type: belongs into every fragment
)

// copyOptions writes the options that belong into every fragment to dst and
// returns their length, padded to 4 bytes. It stops at an option whose length
// lies: nobody could tell where the next one begins.
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
