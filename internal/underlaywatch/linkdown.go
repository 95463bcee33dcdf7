// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"os"
	"strings"

	"flanneld/internal/host/link"
)

// linkdownIgnored names the setting by which the kernel ignores routes to a
// device without carrier (ignore_routes_with_linkdown, Linux 4.2), "" where it
// is off. The overlay device has no carrier while no daemon runs.
func linkdownIgnored(device string) string {
	for _, scope := range []string{"all", device} {
		content, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + scope + "/ignore_routes_with_linkdown")
		if err == nil && strings.TrimSpace(string(content)) == "1" {
			return link.Sysctl(scope, "ignore_routes_with_linkdown")
		}
	}
	return ""
}
