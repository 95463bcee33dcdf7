// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value (linux/ethtool.h).
type ethtoolValue struct {
	command, data uint32
}

// ifreqData is struct ifreq with a pointer.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ethtool asks or sets one switch of a device.
func ethtool(name string, command, value uint32) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	v := &ethtoolValue{command: command, data: value}
	r := &ifreqData{data: unsafe.Pointer(v)}
	copy(r.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(r)))
	runtime.KeepAlive(v)
	if errno != 0 {
		return 0, os.NewSyscallError("ioctl SIOCETHTOOL", errno)
	}
	return v.data, nil
}

// leavesChecksums reports whether checksums are left to the device, or to what
// is below it.
func leavesChecksums(name string) (bool, error) {
	on, err := ethtool(name, unix.ETHTOOL_GTXCSUM, 0)
	return on != 0, err
}

// leaveChecksums sets that.
func leaveChecksums(name string, on bool) error {
	value := uint32(0)
	if on {
		value = 1
	}
	_, err := ethtool(name, unix.ETHTOOL_STXCSUM, value)
	return err
}
