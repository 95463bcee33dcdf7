package link

import (
	"fmt"
	"os"
	"strings"
)

// forwardingPath is the switch of the whole network namespace; it sets every
// interface's, also those to come.
const forwardingPath = "/proc/sys/net/ipv4/ip_forward"

// EnableForwarding sets net.ipv4.ip_forward, without which packets stay
// between no two devices, and says whether it had been off. It is never set
// back: other programs may have come to rely on it.
func EnableForwarding() (changed bool, err error) {
	value, err := os.ReadFile(forwardingPath)
	if err != nil {
		return false, fmt.Errorf("link: read net.ipv4.ip_forward: %w", err)
	}
	if strings.TrimSpace(string(value)) == "1" {
		return false, nil
	}
	if err := os.WriteFile(forwardingPath, []byte("1\n"), 0); err != nil {
		return false, fmt.Errorf("link: set net.ipv4.ip_forward: %w: set it yourself (sysctl -w net.ipv4.ip_forward=1)", err)
	}
	return true, nil
}
