// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// release is a release of Debian: the kernel and the programs that come with
// it.
type release struct {
	Kernel string // the series of its kernel, "6.1"
	Name   string // its code name in the archive, "bookworm"
	// Backports is the suite from which the kernel comes, "": the release.
	Backports string
}

// releases are the ones that flanneld is tested on, oldest first.
var releases = []release{{"5.10", "bullseye", ""}, {"6.1", "bookworm", ""}, {"6.12", "trixie", ""}}

// newest has the newest kernel that Debian builds for a release. The kernel
// changes from month to month, so it runs only where it is named.
var newest = release{"newest", "trixie", "trixie-backports"}

// kernelPackage is the kernel for virtual machines: fewer drivers, the same
// network stack.
const kernelPackage = "linux-image-cloud-amd64"

// packages are what a system needs beside Debian's smallest set and its kernel.
var packages = []string{
	"iproute2", "iptables", "nftables", "iputils-ping", "ethtool", "iperf3",
	"procps", "kmod", "busybox-static", "tcpdump",
}

// String names the release as reports do.
func (r release) String() string { return r.Kernel + " (" + r.suite() + ")" }

// suite is the one that the kernel comes from.
func (r release) suite() string { return cmp.Or(r.Backports, r.Name) }

// key names the release's system in the cache. It changes with what the system
// is made of, so that an outdated one is never used.
func (r release) key() string {
	sum := sha256.Sum256([]byte(kernelPackage + " " + strings.Join(packages, " ") + starter))
	return r.suite() + "-" + hex.EncodeToString(sum[:4])
}

// choose returns the releases that words name, by kernel or name; without
// words, all releases.
func choose(words []string) ([]release, error) {
	if len(words) == 0 {
		return releases, nil
	}
	var chosen []release
	for _, word := range words {
		found := false
		for _, r := range append(slices.Clone(releases), newest) {
			if word == r.Kernel || word == r.suite() {
				chosen, found = append(chosen, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("unknown kernel %q; the kernels are %v and %v", word, releases, newest)
		}
	}
	return chosen, nil
}

// starter is /sbin/start of each system, its process 1: it hands over to this
// program on the second disk. Where that fails the machine goes off.
const starter = `#!/bin/sh
mount -t ext4 -o ro /dev/vdb /mnt && exec /mnt/kernels
echo "no second disk, or no program on it" >/dev/console
echo o >/proc/sysrq-trigger
`
