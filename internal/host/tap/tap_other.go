// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tap

import (
	"errors"
	"net"
	"os"
)

// Port is a port of a bridge; see the Linux file.
type Port struct {
	*os.File
	Name string
	MAC  net.HardwareAddr
}

// Open fails: bridges are Linux's.
func Open(string) (*Port, error) {
	return nil, errors.New("ports of bridges are made on Linux only")
}
