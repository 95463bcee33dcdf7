//go:build !linux

package daemon

import "flanneld/internal/ports"

// gatewayDevices: there are none here.
func gatewayDevices([]string, []ports.Member, string) []string { return nil }
