// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"errors"
	"fmt"
	"strings"
)

// Config describes the device that Open opens.
type Config struct {
	// Name of the device, 1 to 15 bytes.
	Name string

	// Queues is the number of queues to attach, 1 to 256; zero means 1. The
	// kernel spreads flows over the queues and keeps a flow in its queue.
	Queues int

	// Alias is given to a device that Open creates, so that its owner
	// recognizes it after a crash. Open neither reads nor changes it when it
	// takes over a device; empty means none.
	Alias string

	// Offloads that may be used, if the kernel has them. Device.Offloads
	// reports which are in use.
	Offloads Offloads
}

// Errors that Open wraps. The text of the error names the device and the
// remedy.
var (
	// ErrBusy: another process holds queues of the device.
	ErrBusy = errors.New("another process uses the device")

	// ErrForeign: the name belongs to something that is not a multi-queue TUN
	// device without packet information.
	ErrForeign = errors.New("not a multi-queue TUN device")

	// ErrNoDevice: there is no /dev/net/tun, or no driver behind it.
	ErrNoDevice = errors.New("no TUN driver")

	// ErrPermission: CAP_NET_ADMIN or the right to open /dev/net/tun is
	// missing.
	ErrPermission = errors.New("permission denied")

	// ErrUnsupported: this is not Linux.
	ErrUnsupported = errors.New("TUN devices are supported on Linux only")
)

// ErrDeviceGone is what Read and Write return once the device was deleted. The
// queue cannot recover; its holder closes it and opens the device again.
var ErrDeviceGone = errors.New("the device was deleted")

// ErrDeviceDown is what Write returns while the device is down. The packet is
// lost, the queue stays usable.
var ErrDeviceDown = errors.New("the device is down")

const (
	maxName   = 15  // IFNAMSIZ - 1, linux/if.h
	maxQueues = 256 // MAX_TAP_QUEUES, drivers/net/tun.c
)

// checked returns the configuration with defaults filled in, or an error about
// it.
func (c Config) checked() (Config, error) {
	if c.Queues == 0 {
		c.Queues = 1
	}
	switch {
	case c.Name == "" || len(c.Name) > maxName:
		return c, fmt.Errorf("tun: device name %q: must have 1 to %d bytes", c.Name, maxName)
	case c.Name == "." || c.Name == ".." || strings.ContainsAny(c.Name, "/:% \t\n\v\f\r\x00"):
		// '%' would make the kernel number the device by itself.
		return c, fmt.Errorf("tun: device name %q: blanks and the characters / : %% are not allowed", c.Name)
	case c.Queues < 0 || c.Queues > maxQueues:
		return c, fmt.Errorf("tun: device %s: %d queues: must be 1 to %d", c.Name, c.Queues, maxQueues)
	}
	return c, nil
}
