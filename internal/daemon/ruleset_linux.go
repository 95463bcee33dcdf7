package daemon

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// watchRuleset tells, on a channel of capacity one, that somebody changed the
// host's nftables rules, which is where iptables puts its own nowadays
// (NFNLGRP_NFTABLES, Linux 3.14). What changed is not looked at: whoever cares
// reads the rules anyway. The channel is nil where the kernel does not tell, and
// the legacy iptables never does. It ends with ctx.
func watchRuleset(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	group := uint32(1) << (unix.NFNLGRP_NFTABLES - 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: group}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	// A file so that Go's poller waits, and Close wakes the reader.
	socket := os.NewFile(uintptr(fd), "nftables events")
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	go func() {
		defer stop()
		defer socket.Close()
		buf := make([]byte, 8<<10) // longer messages are cut, which is all the same
		for {
			// ENOBUFS: so many changes that some were not told.
			if _, err := socket.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return changes, nil
}
