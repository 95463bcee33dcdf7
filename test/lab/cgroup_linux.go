// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where all systems have their cgroups.
const cgroupRoot = "/sys/fs/cgroup"

// mountCgroups mounts at target, for a machine, the cgroups of one name as if
// they were all: one hierarchy (version 2), or one directory each (version 1).
func mountCgroups(target, name string) error {
	if fileExists(filepath.Join(cgroupRoot, "cgroup.controllers")) {
		return bindCgroup(cgroupRoot, target, name)
	}
	if err := unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(cgroupRoot, entry.Name()), filepath.Join(target, entry.Name())
		if link, err := os.Readlink(from); err == nil { // cpu is a part of cpu,cpuacct
			if err := os.Symlink(link, to); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(os.Mkdir(to, 0o755), bindCgroup(from, to, name)); err != nil {
			return err
		}
	}
	return nil
}

// bindCgroup makes the cgroup, each part of its name below the one before, and
// mounts it.
func bindCgroup(hierarchy, target, name string) error {
	dir := hierarchy
	for part := range strings.SplitSeq(name, "/") {
		parent := dir
		dir = filepath.Join(parent, part)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		handDown(parent, dir)
	}
	if err := unix.Mount(dir, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// handDown lets the child have what the parent has: controllers in version 2,
// processors and memory in version 1. Hierarchies without them lack the files.
func handDown(parent, child string) {
	controllers, _ := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	for controller := range strings.FieldsSeq(string(controllers)) {
		os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		if value, err := os.ReadFile(filepath.Join(parent, name)); err == nil && len(controllers) == 0 {
			os.WriteFile(filepath.Join(child, name), value, 0o644)
		}
	}
}
