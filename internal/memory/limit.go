// SPDX-License-Identifier: Apache-2.0

// Package memory keeps the Go heap below what the host grants this process.
package memory

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// share is the part of the cgroup's memory that the Go runtime may use, in
// percent. The rest is for thread stacks and for what the kernel charges to the
// cgroup: socket buffers and the page cache of the state files.
const share = 85

// ObeyCgroup sets the runtime's soft limit (GOMEMLIMIT) from the limits of this
// process's cgroup and all above it (version 2: memory.max and memory.high). It
// returns the limit in bytes. It returns 0 where nothing was set: there is no
// limit, no cgroup of version 2, or the environment has GOMEMLIMIT.
//
// Without it the runtime lets the heap grow to twice what is live before it
// collects. The kernel ends the process in a cgroup that is smaller.
func ObeyCgroup() int64 {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		return 0
	}
	granted := granted("/proc/self/cgroup", "/sys/fs/cgroup")
	if granted == 0 {
		return 0
	}
	limit := granted / 100 * share
	debug.SetMemoryLimit(limit)
	return limit
}

// granted is the least limit of a cgroup and its ancestors; 0 for none. A file
// in the format of /proc/PID/cgroup names the cgroup. A process with its own
// cgroup namespace sees "/", and its own limits in the root of the file system.
func granted(self, root string) int64 {
	b, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	var least int64
	for line := range strings.Lines(string(b)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !ok {
			continue
		}
		for dir := filepath.Join(root, filepath.Clean("/"+path)); ; dir = filepath.Dir(dir) {
			for _, name := range []string{"memory.max", "memory.high"} {
				if n := readLimit(filepath.Join(dir, name)); n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
			if len(dir) <= len(root) {
				break
			}
		}
	}
	return least
}

// readLimit reads a limit in bytes; 0 for "max", and where there is none.
func readLimit(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
