// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Machine is a [Host] with a disk, processes and a host name of its own. What
// runs on it finds the paths of any machine: /etc, /var/lib, /run. Its disk
// begins as this machine's root directory, and only it sees what it writes.
type Machine struct {
	*Host
	disk       string
	init       *exec.Cmd
	ended      chan struct{} // closed when init is gone
	namespaces []*os.File    // of init: mounts, name, processes
}

// Machine turns the host into one, switches it on, and switches it off when
// the test ends.
func (h *Host) Machine() *Machine {
	h.lab.t.Helper()
	m := &Machine{Host: h, disk: filepath.Join(h.lab.dir, h.NodeName, "disk")}
	h.lab.t.Cleanup(m.PowerOff)
	m.PowerOn()
	return m
}

// The stage of a machine's process 1, and what it is told.
const (
	machineStage = "machine"
	diskVariable = "FLANNELD_LAB_DISK"
	nameVariable = "FLANNELD_LAB_HOSTNAME"

	ownCgroupVariable = "FLANNELD_LAB_MACHINE_CGROUP"
)

// PowerOn boots the machine: it has its disk, and no process but the first.
func (m *Machine) PowerOn() {
	t := m.lab.t
	t.Helper()
	if err := m.powerOn(); err != nil {
		t.Fatalf("%s: switch on: %v", m.NodeName, err)
	}
}

func (m *Machine) powerOn() error {
	booted, signal, err := os.Pipe()
	if err != nil {
		return err
	}
	defer booted.Close()
	var log logBuffer
	m.init = selfCommand(machineStage, []string{diskVariable + "=" + m.disk, nameVariable + "=" + m.NodeName, ownCgroupVariable + "=" + m.cgroup()})
	m.init.Stdin, m.init.Stdout, m.init.Stderr = nil, &log, &log
	m.init.ExtraFiles = []*os.File{signal}
	m.init.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS}
	err = m.Namespace.Start(m.init)
	signal.Close()
	if err != nil {
		return err
	}
	m.ended = make(chan struct{})
	go func(init *exec.Cmd, ended chan struct{}) { init.Wait(); close(ended) }(m.init, m.ended)
	if n, _ := booted.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("process 1: %s", log.Tail(3))
	}
	for _, kind := range []string{"uts", "pid", "mnt"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", m.init.Process.Pid, kind))
		if err != nil {
			return err
		}
		m.namespaces = append(m.namespaces, file)
	}
	return nil
}

// PowerOff takes the power away: all processes are killed at once, and what is
// in memory is lost. It may be called again.
func (m *Machine) PowerOff() {
	for _, file := range m.namespaces {
		file.Close()
	}
	m.namespaces = nil
	if m.ended != nil {
		m.init.Process.Kill()
		<-m.ended
		removeCgroup(m.cgroup())
	}
}

// cgroup is the name of what the machine sees as the root of all cgroups.
func (m *Machine) cgroup() string { return filepath.Join(Cgroup(), m.Namespace.Name) }

// Wipe makes the disk what it was at first. The machine has to be off.
func (m *Machine) Wipe() {
	m.lab.t.Helper()
	if err := os.RemoveAll(m.disk); err != nil {
		m.lab.t.Fatalf("%s: wipe the disk: %v", m.NodeName, err)
	}
}

// Path is where the lab finds a path of the machine. It must not lead through
// an absolute symbolic link, and the machine has to be on.
func (m *Machine) Path(path string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", m.init.Process.Pid), path)
}

// Start starts the command on the machine. The caller has to wait for it in a
// goroutine: [Machine.PowerOff] returns when all have been waited for.
func (m *Machine) Start(cmd *exec.Cmd) error {
	return m.Namespace.Do(func() error {
		result := make(chan error, 1)
		go func() {
			// Never unlocked: the thread ends with the goroutine.
			runtime.LockOSThread()
			result <- m.startHere(cmd)
		}()
		return <-result
	})
}

// startHere takes the thread onto the machine for good, and starts the command.
func (m *Machine) startHere(cmd *exec.Cmd) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // else mounts cannot be entered
		return os.NewSyscallError("unshare", err)
	}
	for _, file := range append([]*os.File{m.Namespace.file}, m.namespaces...) {
		if err := unix.Setns(int(file.Fd()), 0); err != nil {
			return fmt.Errorf("enter %s: %w", file.Name(), err)
		}
	}
	return cmd.Start()
}

// Run runs a command on the machine to its end, whatever its exit status.
func (m *Machine) Run(t TB, name string, args ...string) Result {
	t.Helper()
	return m.RunCommand(t, exec.Command(name, args...))
}

// RunCommand is [Machine.Run] for a command with input or an environment.
func (m *Machine) RunCommand(t TB, cmd *exec.Cmd) Result {
	t.Helper()
	return runCommand(t, m.NodeName, m.Start, cmd)
}

// Exec runs a command that has to succeed and returns its standard output.
func (m *Machine) Exec(t TB, name string, args ...string) string {
	t.Helper()
	r := m.Run(t, name, args...)
	if r.Status != 0 {
		t.Fatalf("%s: %s %v: exit status %d\n%s%s", m.NodeName, name, args, r.Status, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// machineProcess is process 1 of a machine. It makes the mounts, says so on
// descriptor 3, and reaps orphans until it is killed.
func machineProcess() int {
	if err := errors.Join(machineMounts(os.Getenv(diskVariable)), unix.Sethostname([]byte(os.Getenv(nameVariable)))); err != nil {
		fatal(err)
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	booted := os.NewFile(3, "booted")
	booted.Write([]byte{1})
	booted.Close()
	for range children {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && err != unix.EINTR {
				break
			}
		}
	}
	return 0
}

// machineMounts makes the machine's tree and moves into it. The lab's scratch
// directory and its cache are in the same place as outside.
func machineMounts(disk string) error {
	root, upper, work := filepath.Join(disk, "root"), filepath.Join(disk, "upper"), filepath.Join(disk, "work")
	for _, dir := range []string{root, upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	at := func(path string) string { return filepath.Join(root, path) }
	mounts := []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)},
		{"proc", at("proc"), "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", at("sys"), "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"/dev", at("dev"), "", unix.MS_BIND | unix.MS_REC, ""},
		{"tmpfs", at("run"), "tmpfs", unix.MS_NOSUID, "mode=755"},
		{Root, at(Root), "", unix.MS_BIND, ""},
		{cache, at(cache), "", unix.MS_BIND, ""},
	}
	for _, mount := range mounts {
		if mount.source == Root || mount.source == cache {
			if err := os.MkdirAll(mount.target, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(mount.source, mount.target, mount.kind, mount.flags, mount.data); err != nil {
			return fmt.Errorf("mount %s: %w", mount.target, err)
		}
	}
	if err := mountCgroups(at(cgroupRoot), os.Getenv(ownCgroupVariable)); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change to %s: %w", root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// Container runtimes want a tree that shares its mounts, as with systemd.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	return errors.Join(os.MkdirAll("/run/lock", 0o755), os.MkdirAll("/run/netns", 0o755))
}
