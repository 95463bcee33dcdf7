// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"os"
	"strings"
)

// forwardingPath is the switch of the whole network namespace; it sets every
// interface's, also those to come.
const forwardingPath = "/proc/sys/net/ipv4/ip_forward"

// ForwardingEnabled reports whether net.ipv4.ip_forward is set.
func ForwardingEnabled() (bool, error) {
	value, err := os.ReadFile(forwardingPath)
	if err != nil {
		return false, fmt.Errorf("link: read net.ipv4.ip_forward: %w", err)
	}
	return strings.TrimSpace(string(value)) == "1", nil
}

// EnableForwarding sets net.ipv4.ip_forward, without which no packet passes
// between two devices, and reports whether it was off. It is never reset:
// other programs may have come to rely on it.
func EnableForwarding() (changed bool, err error) {
	if on, err := ForwardingEnabled(); on || err != nil {
		return false, err
	}
	if err := os.WriteFile(forwardingPath, []byte("1\n"), 0); err != nil {
		return false, fmt.Errorf("link: set net.ipv4.ip_forward: %w: set it yourself (sysctl -w net.ipv4.ip_forward=1)", err)
	}
	return true, nil
}
