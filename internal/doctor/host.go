// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"flanneld/internal/config"
	"flanneld/internal/host/privilege"
)

// privileges looks at what the daemon needs to make the device.
func (e *exam) privileges(context.Context) {
	const name = "tun"
	switch err := privilege.Check(); {
	case err == nil:
		e.ok("host", name, "/dev/net/tun can be opened")
	case !e.Root && !errors.Is(err, privilege.ErrNoTUN):
		e.skip("host", name, err.Error(), asRoot)
	case e.running: // the daemon has it; this process may be confined
		e.ok("host", name, "the daemon has its device")
	default:
		e.broken("host", name, err.Error(), "modprobe tun, or give the container the device: --device /dev/net/tun --cap-add NET_ADMIN")
	}
}

// oldest is the oldest kernel that the tests run on; see docs/kernels.md.
var oldest = [2]int{5, 10}

// kernel looks at what of the kernel the settings need.
func (e *exam) kernel(context.Context) {
	release, err := e.read("/proc/sys/kernel/osrelease")
	major, minor, ok := kernelVersion(release)
	switch {
	case err != nil || !ok:
		e.skip("host", "kernel", fmt.Sprintf("its version cannot be read: %q", release), "see: uname -r")
	case major < oldest[0] || major == oldest[0] && minor < oldest[1]:
		e.warn("host", "kernel", fmt.Sprintf("Linux %s; the oldest that is tested is %d.%d", release, oldest[0], oldest[1]), "upgrade the kernel, or test this one with: make e2e")
	default:
		e.ok("host", "kernel", "Linux %s", release)
	}
	modules := e.modules(release, err)
	e.module(modules, "nf_tables", "without it containers may lose their addresses, and can reach the members' ports", true)
	for _, p := range []struct {
		path   config.Path
		module string
	}{{config.PathVXLAN, "vxlan"}, {config.PathIPIP, "ipip"}} {
		e.module(modules, p.module, fmt.Sprintf("the path %s of --backend is not available here", p.path), e.Config.Uses(p.path))
	}
	e.tcx()
}

// tcx looks at what the short-cut needs of the kernel. Without it nothing is
// wrong: user space carries the packets.
func (e *exam) tcx() {
	const name, without = "tcx", "user space carries all packets, at more processor time"
	if e.Config.Shortcut == config.ShortcutOff {
		e.ok("host", name, "the settings do not need it (--shortcut off)")
		return
	}
	switch lacks, old := e.Shortcut(); {
	case lacks == "":
		e.ok("host", name, "the kernel takes the programs of the short-cut")
	case old:
		e.ok("host", name, "%s: %s", lacks, without)
	case !e.Root:
		e.skip("host", name, lacks, asRoot)
	default:
		e.warn("host", name, lacks+": "+without, "see what forbids it: cat /sys/kernel/security/lockdown; dmesg; or do without: --shortcut off")
	}
}

// kernelVersion reads the two first numbers of a release, such as 6.12.9-amd64.
func kernelVersion(release string) (major, minor int, ok bool) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	end := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		parts[1] = parts[1][:end]
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return major, minor, err1 == nil && err2 == nil
}

// module looks for a module of the kernel: loaded, built in, or on disk.
func (e *exam) module(all modules, module, without string, wanted bool) {
	state := "loaded"
	if _, err := os.Stat(e.file("/sys/module/" + module)); err != nil {
		state = all.state(module)
	}
	switch {
	case state == "absent" && wanted:
		e.warn("host", module, fmt.Sprintf("the kernel module %s is not there: %s", module, without), "install the kernel's modules (Debian: linux-image-$(uname -r)), then modprobe "+module)
	case state == "absent":
		e.ok("host", module, "the kernel module %s is not there, and the settings do not need it", module)
	case state == "":
		e.skip("host", module, "the list of the kernel's modules cannot be read", fmt.Sprintf("see: modprobe -n -v %s", module))
	default:
		e.ok("host", module, "the kernel module %s is %s", module, state)
	}
}

// switches looks at sysctls that decide about packets of the overlay. What the
// daemon keeps itself is looked at by its parts.
func (e *exam) switches(context.Context) {
	const forwarding = "net.ipv4.ip_forward"
	switch on, err := e.read("/proc/sys/net/ipv4/ip_forward"); {
	case err != nil:
		e.skipErr("host", "ip_forward", err, "sysctl "+forwarding)
	case on == "1":
		e.ok("host", "ip_forward", "%s is 1", forwarding)
	case e.running && e.status.Lease.State != "confirmed":
		e.ok("host", "ip_forward", "%s is %s; flanneld sets it to 1 when it has its lease", forwarding, on)
	case e.running:
		e.broken("host", "ip_forward", forwarding+" is "+on+": the kernel forwards no packets of containers", "sysctl -w "+forwarding+"=1")
	default:
		e.ok("host", "ip_forward", "%s is %s; a start of flanneld sets it to 1", forwarding, on)
	}
	e.reversePaths()
	e.connections()
}

// reversePaths looks at rp_filter, where the greater value of all devices and
// of the device counts. Strict, it drops what comes by another path than
// the one that answers take.
func (e *exam) reversePaths() {
	kernelPaths := false
	for _, p := range e.paths() {
		kernelPaths = kernelPaths || config.Path(p).Kernel()
	}
	device := e.status.Underlay.Interface
	all, err := e.read("/proc/sys/net/ipv4/conf/all/rp_filter")
	own := all
	if device != "" && err == nil {
		own, err = e.read("/proc/sys/net/ipv4/conf/" + device + "/rp_filter")
	}
	strict := max(all, own) == "1"
	switch {
	case err != nil:
		e.skipErr("host", "rp_filter", err, "sysctl -a --pattern rp_filter")
	case strict && kernelPaths:
		where := device
		if own == all || device == "" {
			where = "all"
		}
		e.warn("host", "rp_filter", fmt.Sprintf("rp_filter is strict for the underlay: the path direct is not used, and other kernel paths only one way"),
			fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2, and the same in /etc/sysctl.d", where))
	case strict:
		e.ok("host", "rp_filter", "strict, which harms no packet with --backend udp")
	default:
		e.ok("host", "rp_filter", "not strict")
	}
}

// paths are those of the backend list: the running daemon's, else of the
// settings.
func (e *exam) paths() (names []string) {
	if e.running {
		for _, p := range e.status.Backend.Paths {
			names = append(names, p.Path)
		}
		return names
	}
	for _, p := range e.Config.Backend {
		names = append(names, string(p))
	}
	return names
}

// fullShare is from where on a table counts as almost full, in percent.
const fullShare = 90

// connections looks at how full the table of connections is. When it is full,
// the kernel drops new ones, of containers too.
func (e *exam) connections() {
	count, err := e.number("/proc/sys/net/netfilter/nf_conntrack_count")
	limit, err2 := e.number("/proc/sys/net/netfilter/nf_conntrack_max")
	switch err = errors.Join(err, err2); {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("host", "connections", "the kernel follows no connections")
	case err != nil:
		e.skipErr("host", "connections", err, "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max")
	case limit > 0 && 100*count >= fullShare*limit:
		e.broken("host", "connections", fmt.Sprintf("the table of connections is almost full: %d of %d; new ones are dropped", count, limit),
			fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d, and the same in /etc/sysctl.d", 4*limit))
	default:
		e.ok("host", "connections", "%d of %d in the kernel's table of connections", count, limit)
	}
}

func (e *exam) number(path string) (int, error) {
	text, err := e.read(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
