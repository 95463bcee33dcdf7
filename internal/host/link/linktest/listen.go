// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package linktest

import (
	"net"
	"testing"
)

// Listen opens a packet socket in the named network namespace, as
// net.ListenPacket does; "" is the test's own. It is closed when the test ends,
// if not before.
func Listen(t testing.TB, ns, network, addr string) (conn net.PacketConn) {
	t.Helper()
	open := func() (err error) {
		conn, err = net.ListenPacket(network, addr)
		return err
	}
	if ns != "" {
		In(t, ns, open)
	} else if err := open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
