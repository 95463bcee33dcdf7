package daemon

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// bridges lists the bridges of this host.
func bridges() ([]bridge, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the host's links: %w", err)
	}
	masters := map[int]bool{}
	for _, l := range links {
		masters[l.Attrs().MasterIndex] = true
	}
	var found []bridge
	for _, l := range links {
		if l.Type() != "bridge" {
			continue
		}
		b := bridge{name: l.Attrs().Name, used: masters[l.Attrs().Index]}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", b.name, err)
		}
		for _, a := range addrs {
			ip, ok := netip.AddrFromSlice(a.IP.To4())
			if bits, _ := a.Mask.Size(); ok {
				b.addrs = append(b.addrs, netip.PrefixFrom(ip, bits))
			}
		}
		found = append(found, b)
	}
	return found, nil
}
