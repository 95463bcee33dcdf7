package daemon

import (
	"net/netip"

	"github.com/vishvananda/netlink"

	"flanneld/internal/envfile"
)

// dockerBridge is the bridge of Docker's default network.
const dockerBridge = "docker0"

// inUse says whether containers use the lease: whether anything is attached to
// docker0 or to a bridge that carries the lease's first address. When the host
// does not tell, the answer is yes: nobody's addresses are taken away on a
// guess.
func inUse(lease netip.Prefix) bool {
	links, err := netlink.LinkList()
	if err != nil {
		return true
	}
	bridges := map[int]bool{}
	for _, l := range links {
		if l.Type() == "bridge" && (l.Attrs().Name == dockerBridge || carries(l, lease)) {
			bridges[l.Attrs().Index] = true
		}
	}
	for _, l := range links {
		if bridges[l.Attrs().MasterIndex] {
			return true
		}
	}
	return false
}

// carries says whether a link has the lease's first address.
func carries(l netlink.Link, lease netip.Prefix) bool {
	if !lease.IsValid() {
		return false
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return true
	}
	first := envfile.FirstAddress(lease).Addr()
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok && ip == first {
			return true
		}
	}
	return false
}
