// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// An express datagram has an even source port. All others have odd ones, as has
// the port of a plain flannel host (8285). So the kernel can distinguish them
// before any program runs, and trains are of one kind only.
const evenPort, oddPort = 0, 1

// portTries is how many free ports are tried for one of the right parity. Half
// of all ports have it.
const portTries = 64

// openSource opens a socket to send from, on a free port of this parity.
func openSource(local netip.Addr, bufferSize int, parity uint16) (int, error) {
	for range portTries {
		fd, port, err := openAnySource(local, bufferSize)
		if err != nil {
			return -1, err
		}
		if port&oddPort == parity {
			return fd, nil
		}
		unix.Close(fd)
	}
	return -1, unix.EADDRINUSE
}

// Offsets in what a filter sees: the network header begins at skfNetOff
// (SKF_NET_OFF, linux/filter.h), and is expected to have no options.
const (
	skfNetOff  = 1<<32 - 0x100000
	sourcePort = skfNetOff + 20
)

// steer makes the kernel give express datagrams to the last of the sockets that
// share a port. Others go to one of the first lanes sockets, the same one for
// all datagrams from one source port. It applies to all sockets of the port; fd
// is any one (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5).
func steer(fd, lanes int) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: sourcePort},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: oddPort, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: uint32(lanes)},
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: oddPort}, // the bit that they have in common
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(lanes)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
