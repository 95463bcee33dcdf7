// SPDX-License-Identifier: Apache-2.0

package encap

import "golang.org/x/sys/unix"

// inbox is the memory in which Receive describes its messages. A description
// stays, because a look at an empty socket should not cost several cache misses
// for each possible message.
type inbox struct {
	vector
	first *Message // of the described messages
	spent int      // used by the kernel; to be described anew
}

// prepare describes room for all msgs, and for what the kernel reports about
// them.
func (b *inbox) prepare(msgs []Message) {
	if &msgs[0] == b.first && len(msgs) <= b.n {
		for i := range b.spent {
			b.expect(i)
		}
	} else {
		b.load(msgs)
		for i := range msgs {
			b.expect(i)
		}
		b.first = &msgs[0]
	}
	b.spent = 0
}

// expect sets how much room there is for the address of message i and for the
// kernel's report about it. The kernel shortens both to what it wrote.
func (b *inbox) expect(i int) {
	b.headers[i].header.Namelen = unix.SizeofSockaddrInet4
	b.expectControl(i)
}

// take receives up to room messages.
func (b *inbox) take(fd, room int) (int, unix.Errno) {
	n, errno := b.receive(fd, room)
	b.spent = n
	if errno != 0 {
		b.spent = 1 // to be on the safe side
	}
	return n, errno
}

// store gives the caller what the kernel wrote into the headers.
func (b *inbox) store(msgs []Message) {
	for i := range msgs {
		h := &b.headers[i]
		msgs[i].N = int(h.length)
		msgs[i].Truncated = h.header.Flags&unix.MSG_TRUNC != 0
		msgs[i].SegmentSize, msgs[i].TOS = b.said(i)
		msgs[i].Addr = b.name(i)
	}
}
