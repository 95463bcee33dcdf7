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
	masters := map[int]bool{}
	for _, l := range links {
		masters[l.Attrs().MasterIndex] = true
	}
	var found []Bridge
	for _, l := range links {
		if l.Type() != "bridge" {
			continue
		}
		b := Bridge{Name: l.Attrs().Name, Used: masters[l.Attrs().Index]}
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

// Ports names the devices that are attached to a bridge, none where there is no
// such bridge.
func Ports(name string) (ports []string, err error) {
	links, err := rtnl.Links()
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	index := 0
	for _, l := range links {
		if l.Attrs().Name == name {
			index = l.Attrs().Index
		}
	}
	for _, l := range links {
		if index > 0 && l.Attrs().MasterIndex == index {
			ports = append(ports, l.Attrs().Name)
		}
	}
	return ports, nil
}
