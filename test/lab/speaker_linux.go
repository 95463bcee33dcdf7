// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Speaker is a host that runs flannel's udp backend and no gossip, as far as
// the wire shows it: every datagram on port 8285 is one inner IPv4 packet,
// with nothing before or after it. All addresses of its subnet answer pings
// and echo UDP.
type Speaker struct {
	conn   *net.UDPConn
	subnet netip.Prefix

	mu       sync.Mutex
	received [][]byte
	from     []netip.AddrPort
	done     chan struct{}
}

// StartSpeaker starts one on the host; it stops when the test ends.
func (h *Host) StartSpeaker(subnet netip.Prefix, port uint16) *Speaker {
	h.lab.t.Helper()
	s := &Speaker{
		conn:   h.ListenUDP(h.lab.t, netip.AddrPortFrom(h.Addr, port)),
		subnet: subnet,
		done:   make(chan struct{}),
	}
	go s.run()
	h.lab.t.Cleanup(func() { s.conn.Close(); <-s.done })
	return s
}

func (s *Speaker) run() {
	defer close(s.done)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		packet := append([]byte(nil), buf[:n]...)
		s.mu.Lock()
		s.received = append(s.received, packet)
		s.from = append(s.from, from)
		s.mu.Unlock()
		if answer := s.answer(packet); answer != nil {
			// flannel sends from its one socket to the peer's port 8285.
			s.conn.WriteToUDPAddrPort(answer, netip.AddrPortFrom(from.Addr(), 8285))
		}
	}
}

// answer makes the reply of a host in the subnet, nil if it has none.
func (s *Speaker) answer(packet []byte) []byte {
	h, err := ipv4.ParseHeader(packet)
	if err != nil || len(packet) != h.TotalLen || len(packet) < h.Len+8 {
		return nil
	}
	source, _ := netip.AddrFromSlice(h.Src.To4())
	destination, _ := netip.AddrFromSlice(h.Dst.To4())
	if !s.subnet.Contains(destination) {
		return nil
	}
	payload := packet[h.Len:]
	port := func(i int) uint16 { return uint16(payload[i])<<8 | uint16(payload[i+1]) }
	switch {
	case h.Protocol == 1 && payload[0] == 8:
		return EchoPacket(destination, source, true, port(4), port(6), payload[8:])
	case h.Protocol == 17:
		return UDPPacket(netip.AddrPortFrom(destination, port(2)), netip.AddrPortFrom(source, port(0)), payload[8:])
	}
	return nil
}

// Send sends one datagram with the packet to a host.
func (s *Speaker) Send(packet []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToUDPAddrPort(packet, to)
	return err
}

// OmitChecksums makes all further datagrams go without a UDP checksum.
func (s *Speaker) OmitChecksums() error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) })
	return errors.Join(err, failed)
}

// Received returns the datagrams so far, oldest first.
func (s *Speaker) Received() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.received...)
}
