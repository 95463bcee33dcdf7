// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"

	"flanneld/internal/host/rtnl"
)

// List reads the bridges of this network namespace.
func List() ([]Bridge, error) {
	links, err := rtnl.Links()
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	ports := map[int][]string{} // by the index of the bridge
	for _, l := range links {
		master := l.Attrs().MasterIndex
		ports[master] = append(ports[master], l.Attrs().Name)
	}
	var found []Bridge
	for _, l := range links {
		if l.Type() != "bridge" {
			continue
		}
		b := Bridge{Name: l.Attrs().Name, Ports: ports[l.Attrs().Index]}
		addrs, err := rtnl.Addrs(l)
		if err != nil {
			return nil, fmt.Errorf("bridge: %s: %w", b.Name, err)
		}
		for _, a := range addrs {
			if p, ok := rtnl.Prefix(a.IPNet); ok {
				b.Addrs = append(b.Addrs, p)
			}
		}
		found = append(found, b)
	}
	return found, nil
}
