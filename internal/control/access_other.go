// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package control

import (
	"fmt"
	"net"
	"runtime"
)

// Only Linux's way to identify the other end of a socket is implemented.

func callerOf(*net.UnixConn) (caller, error) {
	return caller{}, fmt.Errorf("caller of a socket: not supported on %s", runtime.GOOS)
}

func ownerOf(path string) (socketOwner, error) {
	return socketOwner{}, fmt.Errorf("owner of %s: not supported on %s", path, runtime.GOOS)
}
