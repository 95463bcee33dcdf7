// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callerOf asks the kernel which user is at the other end of a connection: the
// credentials at the time of connect(2), SO_PEERCRED and SO_PEERGROUPS (Linux
// 4.13).
func callerOf(conn *net.UnixConn) (caller, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return caller{}, err
	}
	var c caller
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			failed = fmt.Errorf("SO_PEERCRED: %w", err)
			return
		}
		c = caller{uid: int(cred.Uid), gids: []int{int(cred.Gid)}}
		// Without the supplementary groups only fewer callers are let in.
		c.gids = append(c.gids, peerGroups(int(fd))...)
	})
	return c, errors.Join(err, failed)
}

// peerGroups returns the supplementary groups, none where the kernel does not
// tell. A process can have 65,536 groups; a user that needs more than the first
// 1,024 here is refused.
func peerGroups(fd int) []int {
	var gids [1024]uint32
	size := uint32(unsafe.Sizeof(gids))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&gids)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	var out []int
	for _, gid := range gids[:size/4] {
		out = append(out, int(gid))
	}
	return out
}

// ownerOf returns the owner of the socket at path.
func ownerOf(path string) (socketOwner, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return socketOwner{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return socketOwner{}, fmt.Errorf("%s: no owner known", path)
	}
	return socketOwner{uid: int(stat.Uid), gid: int(stat.Gid)}, nil
}
