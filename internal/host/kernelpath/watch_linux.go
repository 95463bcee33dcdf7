// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// Watch reports, on a channel of capacity one, that something has changed that
// Ensure looks at: links, addresses, routes, settings of devices, or neighbors
// and FDB entries of the vxlan device. It ends with ctx.
func (p *Part) Watch(ctx context.Context) (<-chan struct{}, error) {
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_NEIGH | rtnl.GroupSettings
	return rtnl.WatchMessages(ctx, unix.NETLINK_ROUTE, groups, func(h unix.NlMsghdr, body []byte) bool {
		if h.Type != unix.RTM_NEWNEIGH && h.Type != unix.RTM_DELNEIGH {
			return true
		}
		n, ok := rtnl.ParseNeighbor(body)
		return !ok || int64(n.Index) == p.tunnel.Load()
	})
}
