// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kernelpath

import (
	"context"
	"net/netip"
)

// noSegment is the segment of other systems: nothing is near.
type noSegment struct{}

func openSegment() segment { return noSegment{} }

func watchSegment(context.Context, func(netip.Addr, station) bool) (ways, neighbors <-chan struct{}) {
	return nil, nil
}

func (noSegment) ways([]netip.Addr) map[netip.Addr]way { return nil }

func (noSegment) stations(string) (map[netip.Addr]station, hwaddr, error) {
	return nil, hwaddr{}, ErrPlatform
}

func (noSegment) resolve(string, []netip.Addr) {}
