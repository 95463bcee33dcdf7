// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// Echoes are the ICMP echo requests to one address, and the replies from it,
// that pass a device. The packets also go their usual way. What a program at
// the device's tc egress has taken is not seen.
type Echoes struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
}

// OpenEchoes begins to watch a device for messages with one identifier, of an
// IPv4 address. Each packet of the device costs a filter meanwhile.
func OpenEchoes(device string, id uint16, of netip.Addr) (*Echoes, error) {
	if !of.Is4() {
		return nil, ErrPacket
	}
	file, err := openFiltered(device, receivedAndSent, echoes(id, of))
	if err != nil {
		return nil, fmt.Errorf("watch packets of %s: %w", device, err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("watch packets of %s: %w", device, err)
	}
	return &Echoes{file: file, raw: raw, buf: make([]byte, 1<<8)}, nil
}

// Next waits for a packet. It is a request or else a reply, and is sent by the
// device or else received. Packets for other hosts on the device's link are
// passed over. It belongs to one goroutine.
func (e *Echoes) Next() (request, sent bool, err error) {
	for {
		n, from, err := e.receive()
		if err != nil {
			return false, false, err
		}
		at, ok := from.(*unix.SockaddrLinklayer)
		if header := packet.Packet(e.buf).HeaderLen(); ok && n > header && (at.Pkttype == unix.PACKET_HOST || at.Pkttype == unix.PACKET_OUTGOING) {
			return e.buf[header] == packet.ICMPEcho, at.Pkttype == unix.PACKET_OUTGOING, nil
		}
	}
}

// receive waits for a packet, and reads its beginning.
func (e *Echoes) receive() (n int, from unix.Sockaddr, err error) {
	failed := e.raw.Read(func(fd uintptr) bool {
		n, from, err = unix.Recvfrom(int(fd), e.buf, unix.MSG_DONTWAIT)
		return err != unix.EAGAIN
	})
	if failed != nil {
		return 0, nil, failed
	}
	return n, from, err
}

// Close ends a Next.
func (e *Echoes) Close() error { return e.file.Close() }
