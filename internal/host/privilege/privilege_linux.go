// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// tunPath is where every Linux has the TUN driver's control device.
const tunPath = "/dev/net/tun"

// Check returns nil when this process has CAP_NET_ADMIN and can open
// /dev/net/tun, otherwise one of the package's errors with what to do about
// it. It changes nothing.
func Check() error {
	capable, err := netAdmin()
	if err != nil {
		return err
	}
	return check(capable, func() error { return openTUN(tunPath) })
}

// check is Check without the host.
func check(capable bool, open func() error) error {
	if !capable {
		return fmt.Errorf("privilege: %w: run flanneld as root, or give it CAP_NET_ADMIN", ErrCapability)
	}
	err := open()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("privilege: %w: %v: load the module (modprobe tun), "+
			"or in a container pass the device in (--device %s)", ErrNoTUN, err, tunPath)
	default:
		return fmt.Errorf("privilege: %w: %v: allow this process to use %s "+
			"(its mode, or the device rules of the container or unit)", ErrTUNDenied, err, tunPath)
	}
}

// netAdmin reports whether CAP_NET_ADMIN is in the effective set of this
// thread. All threads have the same set: Go changes none alone.
func netAdmin() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3: two words of 32 bits
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("privilege: capget: %w", err)
	}
	return data[unix.CAP_NET_ADMIN/32].Effective&(1<<(unix.CAP_NET_ADMIN%32)) != 0, nil
}

// openTUN opens and closes the device; os.OpenFile sets close-on-exec.
func openTUN(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}
