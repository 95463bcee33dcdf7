// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"

	"flanneld/internal/config"
	"flanneld/internal/control"
)

// Cleanup removes what a daemon with this configuration left on the host:
// device (with addresses and routes), firewall rules, files. It refuses while
// one runs, and removes nothing that is not flanneld's. It returns what it
// removed, also when it fails half way; it may be repeated.
func Cleanup(c config.Config) (removed []string, err error) {
	if control.Answers(c.SocketPath()) {
		return nil, fmt.Errorf("a flanneld is running and answers on %s: stop it first, or use `flanneld leave`", c.SocketPath())
	}
	parts, err := newParts(c, nil)
	if err != nil {
		return nil, err
	}
	return takeDown(c.Device, parts)
}
