// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"os"
)

// usage returns how many descriptors this process has open and how many bytes
// of memory it has resident, zero where /proc does not tell.
func usage() (descriptors int, memory uint64) {
	if dir, err := os.Open("/proc/self/fd"); err == nil {
		names, _ := dir.Readdirnames(-1)
		dir.Close()
		descriptors = max(0, len(names)-1) // without the one just used
	}
	if content, err := os.ReadFile("/proc/self/statm"); err == nil {
		var total, resident uint64
		if _, err := fmt.Sscan(string(content), &total, &resident); err == nil {
			memory = resident * uint64(os.Getpagesize())
		}
	}
	return descriptors, memory
}
