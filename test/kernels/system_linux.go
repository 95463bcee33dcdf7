// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"flanneld/test/lab"
)

// keptFor is how long a system is used before it is made anew, for the updates
// that Debian's kernels get.
const keptFor = 30 * 24 * time.Hour

// system is a release that is ready to be booted: its files in the cache.
type system struct {
	dir     string
	Version string // of the kernel: "6.1.0-50-cloud-amd64"
}

func (s system) kernel() string { return filepath.Join(s.dir, "vmlinuz") }
func (s system) initrd() string { return filepath.Join(s.dir, "initrd.img") }
func (s system) disk() string   { return filepath.Join(s.dir, "root.img") }

// prepare returns the release's system. It is made when the cache has none, or
// one that is older than keptFor. Where that fails an old one still serves.
func (r release) prepare() (system, error) {
	cache, err := lab.CacheDir()
	if err != nil {
		return system{}, err
	}
	dir := filepath.Join(cache, "kernels", r.key())
	old, oldErr := load(dir)
	info, err := os.Stat(filepath.Join(dir, "version"))
	if oldErr == nil && err == nil && time.Since(info.ModTime()) < keptFor {
		return old, nil
	}
	if err := r.make(dir); err != nil {
		if oldErr == nil {
			fmt.Printf("%v: %v; using the one of %s\n", r, err, info.ModTime().Format(time.DateOnly))
			return old, nil
		}
		return system{}, fmt.Errorf("make a system of %v: %w", r, err)
	}
	return load(dir)
}

// load finds a system that was made before.
func load(dir string) (system, error) {
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	return system{dir, strings.TrimSpace(string(version))}, err
}

// make fetches the release and turns it into a disk. dir comes into being whole
// or not at all.
func (r release) make(dir string) error {
	mirror, err := lab.DebianMirror()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "make-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil { // apt runs as another user there
		return err
	}
	fmt.Printf("%v: fetching the system, once a month\n", r)
	root := filepath.Join(work, "root")
	include := strings.Join(packages, ",")
	if r.Backports == "" {
		include += "," + kernelPackage
	}
	if err := run(nil, "debootstrap", "--variant=minbase", "--include="+include, r.Name, root, mirror); err != nil {
		return err
	}
	if r.Backports != "" {
		if err := addKernel(root, mirror, r.Backports); err != nil {
			return err
		}
	}
	if err := r.finish(work, root); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(dir), os.Rename(work, dir))
}

// addKernel installs the kernel of a suite in the tree of a release. Making the
// initrd needs a /proc there, which a mount namespace takes away again.
func addKernel(root, mirror, suite string) error {
	list := fmt.Sprintf("deb %s %s main\n", mirror, suite)
	if err := os.WriteFile(filepath.Join(root, "etc/apt/sources.list.d/kernel.list"), []byte(list), 0o644); err != nil {
		return err
	}
	const install = "mount -t proc proc proc && chroot . apt-get update -q && " +
		"DEBIAN_FRONTEND=noninteractive chroot . apt-get install -q -y --no-install-recommends -t $0 $1 initramfs-tools"
	return run(nil, "unshare", "--mount", "sh", "-c", "cd "+root+" && "+install, suite, kernelPackage)
}

// finish takes kernel and initrd out of the tree, and makes the disk from it.
func (r release) finish(work, root string) error {
	kernel, err := os.Readlink(filepath.Join(root, "vmlinuz"))
	if err != nil {
		return err
	}
	version := strings.TrimPrefix(filepath.Base(kernel), "vmlinuz-")
	err = errors.Join(
		os.WriteFile(filepath.Join(root, "sbin/start"), []byte(starter), 0o755),
		os.RemoveAll(filepath.Join(root, "var/cache/apt")),
		os.Rename(filepath.Join(root, "boot/vmlinuz-"+version), filepath.Join(work, "vmlinuz")),
		os.Rename(filepath.Join(root, "boot/initrd.img-"+version), filepath.Join(work, "initrd.img")))
	if err != nil {
		return err
	}
	if err := makeDisk(root, filepath.Join(work, "root.img"), 512); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(root), os.WriteFile(filepath.Join(work, "version"), []byte(version+"\n"), 0o644))
}

// makeDisk makes an ext4 file system of a directory, with spare MiB of room.
func makeDisk(dir, image string, spare int) error {
	out, err := exec.Command("du", "--summarize", "--block-size=1M", dir).Output()
	if err != nil {
		return fmt.Errorf("measure %s: %w", dir, err)
	}
	var used int
	if _, err := fmt.Sscan(string(out), &used); err != nil {
		return fmt.Errorf("measure %s: %w", dir, err)
	}
	size := fmt.Sprintf("%dM", used+used/8+spare)
	return run(nil, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", dir, image, size)
}

// run runs a program of this machine; what it printed becomes part of the
// error.
func run(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		last := lines[max(0, len(lines)-20):]
		return fmt.Errorf("%s: %w (make deps installs what is missing):\n%s", name, err, strings.Join(last, "\n"))
	}
	return nil
}
