// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tree is programs of a Debian suite with all that they need, unpacked into a
// folder and run from there by chroot. So a machine keeps its own packages, and
// programs of a newer suite have their own C library.
type Tree struct {
	Name     string // tells the folder, and the variable for the inner run
	Suite    string
	Packages []string
}

func (r Tree) variable() string { return "FLANNELD_LAB_TREE_" + strings.ToUpper(r.Name) }

// Fetch makes the folder unless it is there, and returns the variables that
// describe it to the inner run. A failure is no error here, but for the tests
// that need it: see [Tree.Enter].
func (r Tree) Fetch() ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "tree-"+r.Name)
	info, err := os.Stat(filepath.Join(dir, "made"))
	if err != nil || time.Since(info.ModTime()) > keptFor {
		if fetchErr := r.fetchInto(dir); fetchErr != nil && err != nil {
			return []string{r.variable() + "_ERROR=" + strings.Join(strings.Fields(fetchErr.Error()), " ")}, nil
		}
	}
	return []string{r.variable() + "=" + filepath.Join(dir, "root")}, nil
}

func (r Tree) fetchInto(dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	options, err := aptOptions(work, r.Suite)
	if err != nil {
		return err
	}
	args := append(options, "-q", "-y", "--no-install-recommends", "--download-only", "install")
	if err := run(work, "apt-get", append(args, r.Packages...)...); err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} { // as Debian has merged them
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "usr", name), 0o755), os.Symlink("usr/"+name, filepath.Join(root, name))); err != nil {
			return err
		}
	}
	packages, _ := filepath.Glob(filepath.Join(work, "apt/cache/archives/*.deb"))
	for _, file := range packages {
		if err := run(work, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -C root --keep-directory-symlink -xf -`, "sh", file); err != nil {
			return err
		}
	}
	if err := finishTree(root); err != nil {
		return err
	}
	os.RemoveAll(filepath.Join(work, "apt"))
	return errors.Join(os.Chmod(work, 0o755), os.WriteFile(filepath.Join(work, "made"), nil, 0o644), os.RemoveAll(dir), os.Rename(work, dir))
}

// finishTree does what maintainer scripts would, as far as it is needed.
func finishTree(root string) error {
	files := map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/resolv.conf": "", "etc/hosts": ""}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"proc", "sys", "dev", "run", "tmp", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"iptables", "ip6tables", "iptables-save", "iptables-restore"} {
		family, verb, _ := strings.Cut(name, "-")
		target := family + "-nft"
		if verb != "" {
			target += "-" + verb
		}
		if err := os.Symlink(target, filepath.Join(root, "usr/sbin", name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// Enter mounts what programs in the tree need: /proc, /sys, /dev, /run and
// /tmp are the lab's. It returns the folder. The test fails if the tree could
// not be fetched.
func (r Tree) Enter(t TB) string {
	t.Helper()
	root := os.Getenv(r.variable())
	if root == "" {
		t.Fatalf("programs of Debian's %s suite are not available: %s", r.Suite, os.Getenv(r.variable()+"_ERROR"))
	}
	if _, err := os.Stat(filepath.Join(root, "proc/self")); err == nil {
		return root // mounted already; all ends with the lab's mount namespace
	}
	// A mount point of its own: runc changes the root from there.
	err := unix.Mount(root, root, "", unix.MS_BIND, "")
	for _, name := range []string{"/proc", "/sys", "/dev", "/run", "/tmp"} {
		err = errors.Join(err, unix.Mount(name, root+name, "", unix.MS_BIND|unix.MS_REC, ""))
	}
	if err != nil {
		t.Fatalf("enter %s: %v", root, err)
	}
	return root
}

// Command is a program of the tree, after [Tree.Enter].
func (r Tree) Command(program string, args ...string) *exec.Cmd {
	return exec.Command("chroot", append([]string{os.Getenv(r.variable()), program}, args...)...)
}
