// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// Devices without link headers are an underlay as well: VPNs are such.
func TestCarriesPacketsOverDevicesWithoutLinkHeaders(t *testing.T) {
	hosts := hostsOn(t, func() { bareWire(t) })
	ping(t, "c1", "10.244.2.2")
	transfer(t, "c1", "c2", "10.244.2.2", 4<<20)
	transfer(t, "c2", "c1", "10.244.1.2", 4<<20)
	sumsAgree(t, hosts)
}

// bareWire joins the hosts by two TUN devices. What leaves the one enters the
// other.
func bareWire(t *testing.T) {
	t.Helper()
	var ends [2]*os.File
	for i, h := range []string{"h1", "h2"} {
		linktest.In(t, h, func() error {
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			request, err := unix.NewIfreq("eth0")
			if err != nil {
				return err
			}
			request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			if err := errors.Join(unix.IoctlIfreq(fd, unix.TUNSETIFF, request), unix.SetNonblock(fd, true)); err != nil {
				return err
			}
			ends[i] = os.NewFile(uintptr(fd), "eth0 of "+h)
			return nil
		})
	}
	linktest.Script(t, `
		ip -n h1 address add 192.0.2.1/24 dev eth0
		ip -n h2 address add 192.0.2.2/24 dev eth0
		ip -n h1 link set eth0 txqueuelen 20000 up
		ip -n h2 link set eth0 txqueuelen 20000 up`)
	for i := range ends {
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 65536)
			for {
				n, err := ends[i].Read(buf)
				if err != nil {
					return
				}
				_, _ = ends[1-i].Write(buf[:n]) // the other end may be closed
			}
		}()
		t.Cleanup(func() {
			ends[i].Close()
			<-done
		})
	}
}
