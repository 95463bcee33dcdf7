// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// trains is what a socket can do with trains. It is set up once. Sending trains
// may end later, when a route does not take them.
type trains struct {
	send     atomic.Bool
	sendNote atomic.Pointer[string] // why not

	receive     bool
	receiveNote string
}

// open probes a socket, and makes it receive trains if configured.
func (t *trains) open(fd int, want Offloads) {
	t.receiveNote = noteOff
	if want.Receive {
		err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
		t.receive, t.receiveNote = err == nil, note(err)
	}
	if !want.Send {
		t.endSending(noteOff)
		return
	}
	// A kernel that knows the option returns its value: none for the socket.
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	switch {
	case err != nil:
		t.endSending(note(err))
	case corruptsTrains(release()):
		t.endSending("Linux " + release() + " corrupts trains")
	default:
		t.send.Store(true)
	}
}

func note(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("the kernel refuses it: %v", err)
}

func (t *trains) endSending(why string) {
	t.sendNote.Store(&why)
	t.send.Store(false)
}

// release is the kernel's version.
func release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// corruptsTrains reports whether a kernel is between 7.0 and 7.1.4. These send
// trains of equal lengths with wrong contents.
func corruptsTrains(release string) bool {
	var major, minor, patch int
	n, _ := fmt.Sscanf(release, "%d.%d.%d", &major, &minor, &patch)
	return n >= 2 && major == 7 && (minor == 0 || minor == 1 && patch <= 4)
}

// MaxSegments is how many datagrams a train may have now: MaxSegments, or 1 if
// the socket sends none.
func (c *Conn) MaxSegments() int {
	if c.trains.send.Load() {
		return MaxSegments
	}
	return 1
}

// Offloads lists all offloads of the socket as they are now.
func (c *Conn) Offloads() []OffloadState {
	send := OffloadState{Name: "udp-gso", Used: c.trains.send.Load()}
	if why := c.trains.sendNote.Load(); !send.Used && why != nil {
		send.Note = *why
	}
	return []OffloadState{send, {Name: "udp-gro", Used: c.trains.receive, Note: c.trains.receiveNote}}
}
