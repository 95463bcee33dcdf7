//go:build !linux

package control

import (
	"fmt"
	"net"
	"runtime"
)

// Who is at the other end of a socket is asked in Linux's way only.

func callerOf(*net.UnixConn) (caller, error) {
	return caller{}, fmt.Errorf("caller of a socket: not supported on %s", runtime.GOOS)
}

func ownerOf(path string) (socketOwner, error) {
	return socketOwner{}, fmt.Errorf("owner of %s: not supported on %s", path, runtime.GOOS)
}
