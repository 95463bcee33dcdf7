// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// legacyTables lists the tables of iptables-legacy that this network namespace
// has. Asking the kernel about another one would make it.
const legacyTables = "/proc/net/ip_tables_names"

// iptGetInfo is IPT_SO_GET_INFO and xtInfo its struct ipt_getinfo
// (linux/netfilter_ipv4/ip_tables.h).
const iptGetInfo = 64

type xtInfo struct {
	name       [32]byte
	validHooks uint32
	hookEntry  [5]uint32
	underflow  [5]uint32
	entries    uint32
	size       uint32
}

// Legacy returns a fingerprint of the tables of iptables-legacy, "" where there
// are none: names, number of rules, and where chains begin and end. It costs a
// system call a table, however many rules there are. A rule that was replaced
// by one of the same size is not seen.
func Legacy() (string, error) {
	names, err := LegacyTables()
	if err != nil || len(names) == 0 {
		return "", err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("ruleset: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	var all strings.Builder
	for _, name := range names {
		var info xtInfo
		copy(info.name[:], name)
		length := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_IP, iptGetInfo,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&length)), 0)
		if errno != 0 {
			return "", fmt.Errorf("ruleset: look at the legacy table %s: %w", name, errno)
		}
		fmt.Fprintf(&all, "%s:%d:%d:%v:%v;", name, info.entries, info.size, info.hookEntry, info.underflow)
	}
	return all.String(), nil
}

// LegacyTables names the tables that iptables-legacy has made here.
func LegacyTables() ([]string, error) {
	content, err := os.ReadFile(legacyTables)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil // no ip_tables in this kernel, or not for this user
	}
	if err != nil {
		return nil, fmt.Errorf("ruleset: %w", err)
	}
	names := strings.Fields(string(content))
	slices.Sort(names)
	return names, nil
}
