// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// leavesChecksums reports whether checksums are left to the device, or to what
// is below it.
func leavesChecksums(name string) (bool, error) {
	on, err := rtnl.Ethtool(name, unix.ETHTOOL_GTXCSUM, 0)
	return on != 0, err
}

// leaveChecksums sets that.
func leaveChecksums(name string, on bool) error {
	value := uint32(0)
	if on {
		value = 1
	}
	_, err := rtnl.Ethtool(name, unix.ETHTOOL_STXCSUM, value)
	return err
}
