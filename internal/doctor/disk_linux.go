// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// statfs asks the kernel. Root may use what is reserved for it.
func statfs(path string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return space{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	unit := uint64(s.Bsize)
	return space{free: s.Bfree * unit, size: s.Blocks * unit, inodes: s.Ffree, nodes: s.Files, readOnly: s.Flags&unix.ST_RDONLY != 0}, nil
}
