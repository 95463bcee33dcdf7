// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"context"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// GroupSettings is the group that reports IPv4 settings of devices,
// RTNLGRP_IPV4_NETCONF (Linux 3.8), as a bit.
const GroupSettings = 1 << (unix.RTNLGRP_IPV4_NETCONF - 1)

// Watch reports, on a channel of capacity one, that links, IPv4 addresses or
// IPv4 routes of this network namespace have changed. It ends with ctx.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	return WatchGroups(ctx, unix.NETLINK_ROUTE, unix.RTMGRP_LINK|unix.RTMGRP_IPV4_IFADDR|unix.RTMGRP_IPV4_ROUTE)
}

// WatchGroups does so for the multicast groups of any netlink protocol; groups
// is a bit mask. It does not look at what changed: callers read the whole list
// anyway.
func WatchGroups(ctx context.Context, protocol int, groups uint32) (<-chan struct{}, error) {
	return WatchMessages(ctx, protocol, groups, func(unix.NlMsghdr, []byte) bool { return true })
}

// WatchMessages does so for messages that matter: the function gets the header
// and the body of each. Messages that were lost matter.
func WatchMessages(ctx context.Context, protocol int, groups uint32, matters func(h unix.NlMsghdr, body []byte) bool) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	// A file so that Go's poller waits, and Close wakes the reader.
	socket := os.NewFile(uintptr(fd), "netlink events")
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	go func() {
		defer stop()
		defer socket.Close()
		buf := make([]byte, 8<<10) // longer messages are cut, and matter
		for {
			// ENOBUFS: so many changes that some were not reported.
			n, err := socket.Read(buf)
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			if err == nil && !anyMatters(buf[:n], matters) {
				continue
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return changes, nil
}

// WatchWays is Watch for what decides where packets go: links, IPv4 addresses,
// routes and rules. Kernel paths do not count.
func WatchWays(ctx context.Context) (<-chan struct{}, error) {
	const rules = 1 << (unix.RTNLGRP_IPV4_RULE - 1)
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | rules
	return WatchMessages(ctx, unix.NETLINK_ROUTE, groups, notKernelPath)
}

// notKernelPath reports whether a message is about something else than a route
// of flanneld to a single peer. A route that takes the place of another one
// counts: that may have been another program's.
func notKernelPath(h unix.NlMsghdr, body []byte) bool {
	route := h.Type == unix.RTM_NEWROUTE && h.Flags&unix.NLM_F_REPLACE == 0 || h.Type == unix.RTM_DELROUTE
	return !route || len(body) < unix.SizeofRtMsg || body[5] != Protocol // struct rtmsg, rtm_protocol
}

// anyMatters reports whether a datagram has a message that matters. What cannot
// be read does.
func anyMatters(datagram []byte, matters func(h unix.NlMsghdr, body []byte) bool) bool {
	messages, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		return true
	}
	for _, m := range messages {
		if matters(unix.NlMsghdr(m.Header), m.Data) {
			return true
		}
	}
	return len(messages) == 0
}
