// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shortcutVariable decides about the short-cut of daemons, unless their command
// line names it: a whole suite runs with it off, or while it is switched.
// Without the variable it is as by default.
const (
	shortcutVariable = "FLANNELD_TEST_SHORTCUT"
	shortcutOff      = "off"
	shortcutSwitch   = "switch" // off and on in turns, every second
)

// shortcutMode is what the variable says of a daemon.
func shortcutMode(run *exec.Cmd) (string, error) {
	mode := os.Getenv(shortcutVariable)
	if !slices.Contains([]string{"", shortcutOff, shortcutSwitch}, mode) {
		return "", fmt.Errorf("%s=%s: give %s or %s", shortcutVariable, mode, shortcutOff, shortcutSwitch)
	}
	if slices.Contains(run.Args, "--shortcut") || slices.Contains(run.Args, "--sealed") {
		return "", nil
	}
	return mode, nil
}

// ShortcutByDefault reports whether daemons have the short-cut as by default.
func ShortcutByDefault() bool { return os.Getenv(shortcutVariable) == "" }

// keepSwitching switches the short-cut of a daemon until it has ended. A daemon
// without a lease yet, or one that stops, does not answer.
func (d *Daemon) keepSwitching() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for on := false; ; on = !on {
		select {
		case <-d.ended:
			return
		case <-tick.C:
		}
		setting := map[bool]string{true: "auto", false: shortcutOff}[on]
		answer, err := d.host.control(time.Second).Post("http://flanneld/v1/shortcut", "application/json", strings.NewReader(`{"setting":"`+setting+`"}`))
		if err == nil {
			answer.Body.Close()
		}
	}
}

// Shortcut is what a host has of the short-cut in the kernel.
type Shortcut struct {
	Setting string            `json:"setting"`
	Ready   bool              `json:"ready"`
	Why     string            `json:"why"`
	Pinned  bool              `json:"pinned"`
	Peers   int               `json:"peers"`
	Egress  Traffic           `json:"egress"`
	Ingress Traffic           `json:"ingress"`
	Left    map[string]uint64 `json:"left_to_user_space"`
	Notes   []string          `json:"notes"`
}

// NodeShortcut reports whether packets to a node take the short-cut.
type NodeShortcut struct {
	Used    bool    `json:"used"`
	State   string  `json:"state"`
	Why     string  `json:"why"`
	Egress  Traffic `json:"egress"`
	Ingress Traffic `json:"ingress"`
}

// DetachProgram detaches a program of the short-cut from its device, as another
// program can (bpftool link detach). Its pin stays.
func (h *Host) DetachProgram(t TB, name string) {
	t.Helper()
	var namespace unix.Stat_t
	err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", h.Daemon.PID()), &namespace)
	if err != nil {
		t.Fatalf("%s: %v", h.NodeName, err)
	}
	path := fmt.Appendf(nil, "/sys/fs/bpf/flanneld/%d-flannel0/%s\x00", namespace.Ino, name)
	var keep runtime.Pinner
	defer keep.Unpin()
	link, err := callBPF(unix.BPF_OBJ_GET, unsafe.Pointer(&struct {
		path      uint64
		fd, flags uint32
	}{path: address(&keep, &path[0])}), 16)
	if err == nil {
		defer unix.Close(link)
		_, err = callBPF(unix.BPF_LINK_DETACH, unsafe.Pointer(&struct{ fd uint32 }{uint32(link)}), 4)
	}
	if err != nil {
		t.Fatalf("%s: detach program %s: %v", h.NodeName, name, err)
	}
}

// AttachDropper puts another tool's program in front of all others at the
// egress of a device of the host: it drops all packets. The program goes with
// detach.
func (h *Host) AttachDropper(t TB, device string) (detach func()) {
	t.Helper()
	license := []byte("GPL\x00")
	program := []uint64{2<<32 | 0xb7, 0x95} // return TC_ACT_SHOT
	load := struct {
		kind, count           uint32
		instructions, license uint64
		_                     [24]byte
		name                  [16]byte
	}{kind: unix.BPF_PROG_TYPE_SCHED_CLS, count: uint32(len(program)), name: [16]byte{'d', 'r', 'o', 'p', 'p', 'e', 'r'}}
	link := 0
	err := h.Do(func() error {
		on, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		var keep runtime.Pinner
		defer keep.Unpin()
		load.instructions, load.license = address(&keep, &program[0]), address(&keep, &license[0])
		fd, err := callBPF(unix.BPF_PROG_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load))
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		const tcxEgress, before = 47, 1 << 3
		link, err = callBPF(unix.BPF_LINK_CREATE, unsafe.Pointer(&struct {
			program, target, attach, flags uint32
			_                              [16]byte
		}{program: uint32(fd), target: uint32(on.Index), attach: tcxEgress, flags: before}), 32)
		return err
	})
	if err != nil {
		t.Fatalf("%s: attach a program at %s: %v", h.NodeName, device, err)
	}
	return func() { unix.Close(link) }
}

// address is where a value stays until it is unpinned.
func address[T any](keep *runtime.Pinner, value *T) uint64 {
	keep.Pin(value)
	return uint64(uintptr(unsafe.Pointer(value)))
}

// callBPF is bpf(2).
func callBPF(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// Shortcut reports whether packets from the host to a peer take the short-cut.
func (h *Host) Shortcut(peer *Host) (NodeShortcut, error) {
	nodes, err := h.Nodes()
	if err != nil {
		return NodeShortcut{}, err
	}
	for _, p := range nodes.Find(peer.NodeName).Paths {
		if p.Name == "udp" {
			return p.Shortcut, nil
		}
	}
	return NodeShortcut{}, fmt.Errorf("%s has no udp path to %s", h.NodeName, peer.NodeName)
}

// WaitShortcut waits until packets from the host to a peer take the short-cut,
// or take it no more.
func (h *Host) WaitShortcut(peer *Host, used bool, limit time.Duration) {
	h.lab.t.Helper()
	Eventually(h.lab.t, limit, fmt.Sprintf("the short-cut from %s to %s: %t", h.NodeName, peer.NodeName, used), func() error {
		s, err := h.Shortcut(peer)
		if err != nil {
			return err
		}
		return Expect(s.Used == used, "%+v; %+v", s, h.Status().Shortcut)
	})
}

// WaitShortcuts waits until packets between all hosts take the short-cut.
func WaitShortcuts(limit time.Duration, hosts ...*Host) {
	for _, a := range hosts {
		a.lab.t.Helper()
		for _, b := range hosts {
			if a != b {
				a.WaitShortcut(b, true, limit)
			}
		}
	}
}
