// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Gone reports whether an error means that the kernel no longer knows the
// device.
func Gone(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}

// Ignore turns the one error that means "already so" into none.
func Ignore(err error, harmless unix.Errno) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
