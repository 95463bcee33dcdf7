// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// A place is where a program is attached: a link that is pinned in a file of
// its own, so that it outlives this process.
type place struct {
	name   string // of the file
	device int    // index
	attach ebpf.AttachType
}

// bpffs is where bpf file systems are by convention.
const bpffs = "/sys/fs/bpf"

// pinned is flanneld's directory there.
const pinned = "flanneld"

// pinDir is the directory of the links of one overlay device in this network
// namespace. Several namespaces may share the file system.
func pinDir(device string) (string, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return "", fmt.Errorf("look at the network namespace: %w", err)
	}
	// The file system takes no dots.
	return filepath.Join(bpffs, pinned, fmt.Sprintf("%d-%s", ns.Ino, strings.ReplaceAll(device, ".", "%2e"))), nil
}

// mountBPF makes sure of a bpf file system at bpffs, as ip and bpftool do.
func mountBPF() error {
	var fs unix.Statfs_t
	err := unix.Statfs(bpffs, &fs)
	if err == nil && fs.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err == nil {
		err = unix.Mount("bpf", bpffs, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, "mode=0700")
	}
	if err != nil {
		return fmt.Errorf("no bpf file system is at %s (mount -t bpf bpf %s): %w", bpffs, bpffs, err)
	}
	return nil
}

// haveTCX reports whether the kernel knows places for programs of tcx: Linux
// 6.6 lists those of lo. Where it cannot be told, the next step tells.
func haveTCX() bool {
	_, err := link.QueryPrograms(link.QueryOptions{Target: 1, Attach: ebpf.AttachTCXIngress})
	return !errors.Is(err, ebpf.ErrNotSupported) && !errors.Is(err, syscall.EINVAL)
}

// Probe says what this kernel or this process lacks for the short-cut, "" where
// nothing is missing; old: it is the kernel's age. It loads a small program for
// a moment, and attaches none.
func Probe() (lacks string, old bool) {
	if !haveTCX() {
		return noTCX, true
	}
	if _, err := clearsEncapsulation(); err != nil {
		return firstLine(explain(err)), false
	}
	return "", false
}

const noTCX = "this kernel has no tcx (Linux 6.6)"

// links are the links of one overlay device.
type links struct {
	dir  string
	open map[string]link.Link // by the name of the place
}

// inFlight is how long the kernel is given for packets that have passed the
// ingress program, and are on their way through the pair of devices.
const inFlight = 20 * time.Millisecond

// find opens the link of a place; nil where there is none, or one of a device
// that is gone.
func (l *links) find(p place) (link.Link, ebpf.ProgramID, error) {
	at := l.open[p.name]
	if at == nil {
		pinned, err := link.LoadPinnedLink(filepath.Join(l.dir, p.name), nil)
		if errors.Is(err, os.ErrNotExist) {
			return nil, 0, nil
		} else if err != nil {
			return nil, 0, err
		}
		at = pinned
	}
	info, err := at.Info()
	if err != nil {
		_ = at.Close()
		return nil, 0, err
	}
	tcx := info.TCX()
	if tcx == nil || int(tcx.Ifindex) != p.device {
		l.open[p.name] = at
		return nil, 0, l.remove(p.name)
	}
	l.open[p.name] = at
	return at, info.Program, nil
}

// state says what is different at a place; "" if nothing is.
func (l *links) state(p place, want ebpf.ProgramID) string {
	at, have, err := l.find(p)
	switch {
	case err != nil:
		return fmt.Sprintf("cannot look at program %s: %v", p.name, err)
	case at == nil:
		return fmt.Sprintf("program %s is not attached", p.name)
	case have != want:
		return fmt.Sprintf("program %s is an earlier one", p.name)
	case !l.pinned(p.name):
		return fmt.Sprintf("program %s is not pinned", p.name)
	}
	return ""
}

func (l *links) pinned(name string) bool {
	_, err := os.Lstat(filepath.Join(l.dir, name))
	return err == nil
}

// ensure attaches a program behind those of others, or puts it in the place of
// an earlier one without a gap. It returns what was done; "" for nothing.
func (l *links) ensure(p place, prog *ebpf.Program) (string, error) {
	id, err := programID(prog)
	if err != nil {
		return "", err
	}
	wrong := l.state(p, id)
	if wrong == "" {
		return "", nil
	}
	at, have, err := l.find(p)
	if err != nil {
		return "", err
	}
	if at == nil {
		return "attached program " + p.name, l.attach(p, prog)
	}
	if have != id {
		if err := at.Update(prog); err != nil {
			return "", fmt.Errorf("replace program %s: %w", p.name, err)
		}
		wrong = "replaced program " + p.name
	}
	return wrong, l.pin(p.name, at)
}

// attach attaches and pins a program.
func (l *links) attach(p place, prog *ebpf.Program) error {
	at, err := link.AttachTCX(link.TCXOptions{Interface: p.device, Program: prog, Attach: p.attach, Anchor: link.Tail()})
	if err != nil {
		return fmt.Errorf("attach program %s: %w", p.name, err)
	}
	if err := l.remove(p.name); err != nil {
		_ = at.Close()
		return err
	}
	if err := l.pin(p.name, at); err != nil {
		_ = at.Close()
		return err
	}
	l.open[p.name] = at
	return nil
}

// makeDir makes the directory of the links. Its error says that the first one
// cannot be pinned there.
func (l *links) makeDir() error {
	if len(l.names()) > 0 {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	if err := unix.Access(l.dir, unix.W_OK); err != nil {
		return &os.PathError{Op: "write to", Path: l.dir, Err: err}
	}
	return nil
}

// pin makes the file of a link, if it is not there.
func (l *links) pin(name string, at link.Link) error {
	if l.pinned(name) {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("pin program %s: %w", name, err)
	}
	_ = at.Unpin() // it may remember a file that is gone
	if err := at.Pin(filepath.Join(l.dir, name)); err != nil {
		return fmt.Errorf("pin program %s: %w", name, err)
	}
	return nil
}

// remove detaches a program. Without one it does nothing.
func (l *links) remove(name string) error {
	err := os.Remove(filepath.Join(l.dir, name))
	if at := l.open[name]; at != nil {
		_ = at.Close()
		delete(l.open, name)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("detach program %s: %w", name, err)
	}
	return nil
}

// names lists the places that have a file, in the order in which programs go:
// what sends packets, what takes them, and then where these lead to.
func (l *links) names() (all []string) {
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return nil
	}
	for _, f := range files {
		all = append(all, f.Name())
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(turn(a), turn(b)) })
	return all
}

// turn is when a program goes.
func turn(name string) int {
	switch name {
	case "egress":
		return 0
	case "ingress":
		return 1
	case "gro":
		return 3
	}
	return 2 // of a bridge
}

// removeAll detaches all programs, and names those that it has detached.
func (l *links) removeAll() (removed []string, err error) {
	var failed []error
	for _, name := range l.names() {
		if err := l.remove(name); err != nil {
			failed = append(failed, err)
			continue
		}
		removed = append(removed, name)
		if name == "ingress" {
			time.Sleep(inFlight)
		}
	}
	for name := range l.open {
		failed = append(failed, l.remove(name))
	}
	if err := os.Remove(l.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		failed = append(failed, err)
	}
	// Other devices may have programs there. The unit's sandbox keeps it.
	_ = os.Remove(filepath.Dir(l.dir))
	return removed, errors.Join(failed...)
}

// alive reports whether all links that this process has open are attached and
// pinned.
func (l *links) alive() bool {
	for name, at := range l.open {
		info, err := at.Info()
		if err != nil || !l.pinned(name) {
			return false
		}
		if tcx := info.TCX(); tcx == nil || tcx.Ifindex == 0 {
			return false
		}
	}
	return true
}

// others names other programs at the place of a link, in front of it and behind
// it.
func (l *links) others(p place) (before, behind []string, err error) {
	at := l.open[p.name]
	if at == nil {
		return nil, nil, nil
	}
	info, err := at.Info()
	if err != nil {
		return nil, nil, err
	}
	all, err := link.QueryPrograms(link.QueryOptions{Target: p.device, Attach: p.attach})
	if err != nil {
		return nil, nil, fmt.Errorf("list programs: %w", err)
	}
	found := false
	for _, other := range all.Programs {
		id, _ := other.LinkID()
		switch {
		case id == info.ID:
			found = true
		case found:
			behind = append(behind, programName(other.ID))
		default:
			before = append(before, programName(other.ID))
		}
	}
	return before, behind, nil
}

// programName is how a program is called. Reading the name needs CAP_SYS_ADMIN.
func programName(id ebpf.ProgramID) string {
	if prog, err := ebpf.NewProgramFromID(id); err == nil {
		defer prog.Close()
		if info, err := prog.Info(); err == nil && info.Name != "" {
			return fmt.Sprintf("%s (program %d)", info.Name, id)
		}
	}
	return fmt.Sprintf("program %d", id)
}

func programID(prog *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := prog.Info()
	if err != nil {
		return 0, err
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("this kernel does not number programs")
	}
	return id, nil
}
