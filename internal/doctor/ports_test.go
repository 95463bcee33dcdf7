// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net"
	"testing"
)

// bindFree takes a TCP port of this host until the test ends.
func bindFree(t *testing.T) (port uint16, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	t.Cleanup(func() { l.Close() })
	return uint16(l.Addr().(*net.TCPAddr).Port), nil
}
