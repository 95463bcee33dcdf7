// SPDX-License-Identifier: Apache-2.0

package wire

import "encoding/binary"

// memberlist's messages are MessagePack maps with strings for keys. This reads
// and writes as much of the format as these need, in bounded memory: what is
// read stays part of the input. A message that was read is written anew before
// memberlist gets it, so that both understand the same.

// maxFields bounds the fields of a map: the largest of memberlist's has seven.
const maxFields = 12

// value is a number or a string of bytes.
type value struct {
	number uint64
	bytes  []byte
	text   bool // bytes count
}

// fields are a map in the order it came in.
type fields struct {
	names  [maxFields]string
	values [maxFields]value
	n      int
}

func (f *fields) find(name string) value {
	for i := range f.n {
		if f.names[i] == name {
			return f.values[i]
		}
	}
	return value{}
}

// number is a field that must not be above most; ok is false where it is, or is
// no number. A missing field is 0.
func (f *fields) number(name string, most uint64) (uint64, bool) {
	v := f.find(name)
	return v.number, !v.text && v.number <= most
}

// bytes is a field of at most so many bytes; a missing one is empty.
func (f *fields) bytes(name string, most int) ([]byte, bool) {
	v := f.find(name)
	return v.bytes, v.number == 0 && len(v.bytes) <= most
}

// readMap reads one map and returns what follows it.
func readMap(b []byte) (f fields, rest []byte, ok bool) {
	n, b, ok := readMapHeader(b)
	if !ok || n > maxFields {
		return f, nil, false
	}
	for range n {
		var name, v value
		if name, b, ok = readValue(b); !ok || !name.text {
			return f, nil, false
		}
		if v, b, ok = readValue(b); !ok {
			return f, nil, false
		}
		f.names[f.n], f.values[f.n] = string(name.bytes), v
		f.n++
	}
	return f, b, true
}

func readMapHeader(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
	case b[0]>>4 == 0x8:
		return int(b[0] & 0xf), b[1:], true
	case b[0] == 0xde && len(b) >= 3:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:], true
	}
	return 0, nil, false
}

// readValue reads a number of at least 0, a boolean (0 or 1), nil (0), or a
// string.
func readValue(b []byte) (v value, rest []byte, ok bool) {
	if len(b) == 0 {
		return v, nil, false
	}
	kind, b := b[0], b[1:]
	switch {
	case kind < 0x80:
		return value{number: uint64(kind)}, b, true
	case kind>>5 == 0x5: // fixstr
		return readBytes(b, 0, int(kind&0x1f))
	case kind == 0xc0, kind == 0xc2:
		return v, b, true
	case kind == 0xc3:
		return value{number: 1}, b, true
	case kind >= 0xc4 && kind <= 0xc6: // bin
		return readBytes(b, 1<<(kind-0xc4), 0)
	case kind >= 0xd9 && kind <= 0xdb: // str
		return readBytes(b, 1<<(kind-0xd9), 0)
	case kind >= 0xcc && kind <= 0xcf: // uint
		number, rest, ok := readNumber(b, 1<<(kind-0xcc))
		return value{number: number}, rest, ok
	case kind >= 0xd0 && kind <= 0xd3: // int; memberlist's are never negative
		size := 1 << (kind - 0xd0)
		number, rest, ok := readNumber(b, size)
		return value{number: number}, rest, ok && number>>(8*size-1) == 0
	}
	return v, nil, false
}

// readNumber reads so many bytes.
func readNumber(b []byte, size int) (n uint64, rest []byte, ok bool) {
	if len(b) < size {
		return 0, nil, false
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	return n, b[size:], true
}

// readBytes reads a string. Its length comes first, in so many bytes, or is
// known.
func readBytes(b []byte, lengthSize, known int) (v value, rest []byte, ok bool) {
	n := uint64(known)
	if lengthSize > 0 {
		if n, b, ok = readNumber(b, lengthSize); !ok {
			return v, nil, false
		}
	}
	if n > uint64(len(b)) {
		return v, nil, false
	}
	return value{bytes: b[:n:n], text: true}, b[n:], true
}

// The writers use the forms of the old format, as memberlist does: what is
// bytes and what is text are strings alike.

func appendMap(b []byte, n int) []byte { return append(b, 0x80|byte(n)) }

func appendText[T string | []byte](b []byte, s T) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendNumber(b []byte, n uint64) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0xcc, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}
