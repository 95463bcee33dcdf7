// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// WriteRun hands a run to the kernel in one system call, as if its packets had
// arrived on the device. A kernel that takes no superpackets (EINVAL) gets the
// run's packets one by one. No further superpackets of this kind are written
// then; Offloads shows it. The run is not kept. Errors are those of Write; if a
// run was written in parts, the error of the first packet that failed.
func (q *Queue) WriteRun(r *Run) error {
	if !q.descriptor.Acquire() {
		return fs.ErrClosed
	}
	defer q.descriptor.Release()
	if r.SegmentSize == 0 {
		if len(r.Buffers[0]) == 0 {
			return queueError("write", unix.EINVAL)
		}
		return queueError("write", q.writePacket(r.Buffers[0]))
	}
	err := q.writeSuperpacket(r)
	if err == unix.EINVAL {
		err = q.writeSegments(r)
	}
	return queueError("write", err)
}

// writeSuperpacket writes the whole run. The result is an error number or nil.
func (q *Queue) writeSuperpacket(r *Run) error {
	superpacketHeader(r.layout, r.SegmentSize).put(q.out.header[:])
	iovecs := q.out.iovecs[:1+len(r.Buffers)]
	iovecs[0].Base = &q.out.header[0]
	iovecs[0].SetLen(virtioLen)
	for i, b := range r.Buffers {
		iovecs[1+i].Base = &b[0]
		iovecs[1+i].SetLen(len(b))
	}
	for {
		switch errno := rawWritev(q.descriptor.FD(), iovecs); errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// writeSegments writes the packets of the run. If the kernel takes them, it
// refused the superpacket as such.
func (q *Queue) writeSegments(r *Run) error {
	header, payload := r.Buffers[0][:r.layout.Headers], r.Buffers[0][r.layout.Headers:]
	s := newSegmenter(r.layout, header, nil, r.SegmentSize)
	var failure error
	for i := range r.Buffers {
		if i > 0 {
			payload = r.Buffers[i]
		}
		h := s.next(q.out.memory[:], payload, i == len(r.Buffers)-1)
		if err := q.writePieces(h, payload); err != nil && failure == nil {
			failure = err
		}
	}
	if failure == nil {
		q.giveUp(r.layout)
	}
	return failure
}

// writePieces writes one packet, complete, that is in two pieces.
func (q *Queue) writePieces(header, payload []byte) error {
	iovecs := q.out.iovecs[:3]
	iovecs[0].Base = &noOffload[0]
	iovecs[0].SetLen(virtioLen)
	iovecs[1].Base = &header[0]
	iovecs[1].SetLen(len(header))
	iovecs[2].Base = &payload[0]
	iovecs[2].SetLen(len(payload))
	for {
		switch errno := rawWritev(q.descriptor.FD(), iovecs); errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// giveUp ends the writing of superpackets of this kind.
func (q *Queue) giveUp(l packet.Layout) {
	if l.Protocol == packet.TCP {
		q.tcp.Store(false)
	} else {
		q.udp.Store(false)
	}
}
