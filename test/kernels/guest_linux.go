// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is where the second disk is mounted, read-only.
const disk = "/mnt"

// environment is what the steps run with: the lab takes flanneld from the disk
// and fetches no Docker. Debian's kernels have netem and ipip. Emulation is
// some ten times slower.
var environment = map[string]string{
	"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TMPDIR": "/tmp",
	"FLANNELD_LAB_BINARY": filepath.Join(disk, "flanneld"), "FLANNELD_TEST_DOCKER28": "absent",
	"FLANNELD_LAB_NETEM": "required", "FLANNELD_LAB_IPIP": "required", "FLANNELD_LAB_PATIENCE": "10",
}

// guest is process 1 of the machine. It sets the system up, starts this program
// again for the steps, reaps what is left over, and switches off.
func guest() {
	if err := guestMain(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err) // the console
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) // qemu ends instead
}

func guestMain() error {
	os.Clearenv()
	for name, value := range environment {
		os.Setenv(name, value)
	}
	if err := mountAll(); err != nil {
		return err
	}
	for _, line := range arrangements {
		if err := command(line); err != nil {
			return err
		}
	}
	out, err := openReport()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", stepsArgument)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err != nil && err != unix.EINTR {
			return err
		}
		if pid == cmd.Process.Pid {
			return nil
		}
	}
}

// arrangements make the machine like a host in use. systemd brings up the
// loopback interface and makes /dev/net/tun and the links in /dev, which Debian
// 11's nft reads; some initrds make them. Docker loads br_netfilter, and a
// program that loads ipip makes a tunl0 in every namespace.
var arrangements = []string{
	"ip link set lo up", "modprobe -a tun br_netfilter ipip vxlan",
	"ln -sfn /proc/self/fd /dev/fd", "ln -sfn /proc/self/fd/0 /dev/stdin",
	"ln -sfn /proc/self/fd/1 /dev/stdout", "ln -sfn /proc/self/fd/2 /dev/stderr",
}

// command runs a command line of the shell, which has to succeed.
func command(line string) error {
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// mountAll mounts what an init mounts. The initrd has mounted some already.
func mountAll() error {
	for _, m := range []struct{ dir, kind, data string }{
		{"/proc", "proc", ""}, {"/sys", "sysfs", ""}, {"/dev", "devtmpfs", ""}, {"/run", "tmpfs", "mode=755"},
		{"/tmp", "tmpfs", "mode=1777"}, {"/sys/fs/cgroup", "cgroup2", ""}, {"/dev/pts", "devpts", ""}, {"/dev/shm", "tmpfs", ""},
	} {
		os.MkdirAll(m.dir, 0o755)
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.data); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	return nil
}

// openReport opens the second serial line, for lines as they are written.
func openReport() (*os.File, error) {
	fd, err := unix.Open("/dev/ttyS1", unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the second serial line: %w", err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		t.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(fd, unix.TCSETS, t)
	}
	return os.NewFile(uintptr(fd), "report"), err
}

// stepsArgument tells the process that runs the steps from process 1.
const stepsArgument = "steps"

// runSteps runs the plan and reports on its own output: see [report].
func runSteps() error {
	data, err := os.ReadFile(filepath.Join(disk, planFile))
	if err != nil {
		return err
	}
	var plan []step
	if err := json.Unmarshal(data, &plan); err != nil {
		return err
	}
	say(os.Stdout, kernelMark, kernelVersion())
	for _, s := range plan {
		say(os.Stdout, beginMark, s.Name)
		status := s.run(os.Stdout)
		say(os.Stdout, endMark, s.Name, fmt.Sprint(status))
	}
	say(os.Stdout, doneMark)
	return nil
}

func say(w io.Writer, words ...string) { fmt.Fprintln(w, strings.Join(words, " ")) }

// kernelVersion is what uname -r prints.
func kernelVersion() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// run runs one step and returns the exit status; -1 when it could not start.
func (s step) run(out io.Writer) int {
	for _, line := range s.Before {
		if err := command(line); err != nil {
			fmt.Fprintln(out, err)
			return -1
		}
	}
	cmd := exec.Command(filepath.Join(disk, s.program()), "-test.v", "-test.parallel=1", "-test.timeout=30m", "-test.run="+s.pattern())
	cmd.Dir = filepath.Join(disk, "src", s.Package)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(out, err)
	}
	return cmd.ProcessState.ExitCode()
}
