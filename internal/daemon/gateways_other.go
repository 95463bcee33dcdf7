//go:build !linux

package daemon

import "flanneld/internal/host/ports"

// gatewayDevices: there are none here.
func gatewayDevices([]string, []ports.Member, string) []string { return nil }
