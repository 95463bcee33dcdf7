package daemon

import (
	"context"

	"golang.org/x/sys/unix"

	"flanneld/internal/link/rtnl"
)

// watchRuleset tells, on a channel of capacity one, that somebody changed the
// host's nftables rules, which is where iptables puts its own nowadays
// (NFNLGRP_NFTABLES, Linux 3.14). The channel is nil where the kernel does not
// tell, and the legacy iptables never does. It ends with ctx.
func watchRuleset(ctx context.Context) (<-chan struct{}, error) {
	return rtnl.WatchGroups(ctx, unix.NETLINK_NETFILTER, 1<<(unix.NFNLGRP_NFTABLES-1))
}
