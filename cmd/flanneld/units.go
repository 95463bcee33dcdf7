// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"flanneld/internal/control"
)

// shortID is a prefix of a node ID, long enough to distinguish nodes and to
// name one.
func shortID(id string) string { return id[:min(8, len(id))] }

func named(n control.NodeName) string { return n.Text() }

// bytes in powers of 1000, as networks count.
func size(n uint64) string {
	const step = 1000
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if value /= step; value < step-0.05 { // else it would be rounded up to 1000.0
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

func traffic(t control.Traffic) string {
	if t.Packets == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%d)", size(t.Bytes), t.Packets)
}

func since(s control.Seconds) string {
	d := s.Duration()
	switch {
	case d <= 0:
		return "-"
	case d.Round(time.Second) < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func roundTrip(s control.Seconds) string {
	if s <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f ms", float64(s)*1000)
}

func dash[T interface{ IsValid() bool }](value T) string {
	if !value.IsValid() {
		return "-"
	}
	return fmt.Sprint(value)
}

// endpointText leaves out the port of a static peer that has none.
func endpointText(e netip.AddrPort) string {
	if e.IsValid() && e.Port() == 0 {
		return e.Addr().String()
	}
	return dash(e)
}

// address shows a public address only where it differs from the local one.
func address(local, public netip.Addr) string {
	if public == local || !public.IsValid() {
		return dash(local)
	}
	return fmt.Sprintf("%s, announced as %s", local, public)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
